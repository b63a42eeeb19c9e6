// Numbers as katamuki prints them (report/numbers.py): six significant digits, a true minus, a dash where there is none.
"use strict";
const printed = (() => {
  // What Python's format() prints: ties go to the even digit, where JavaScript goes up.
  function even(up, exact) {
    const tail = exact.slice(-30), down = exact.slice(0, -30).replace(/\.$/, "");
    return /^50*$/.test(tail) && "02468".includes(down.slice(-1)) ? down : up;
  }
  const fixed = (size, digits) => even(size.toFixed(digits), size.toFixed(digits + 30));
  function exponential(size, digits) {
    const [up, power] = size.toExponential(digits).split("e"), [exact, same] = size.toExponential(digits + 30).split("e");
    return [same === power ? even(up, exact) : up, Number(power)];
  }
  function number(value) {
    if (Number.isNaN(value)) return "—";
    const sign = value < 0 ? "−" : "", size = Math.abs(value);
    if (size === 0) return "0";
    if (size === Infinity) return sign + "inf";
    const power = exponential(size, 6)[1];
    if (power <= 6 && power >= -4) return sign + fixed(size, power >= 0 ? 6 - power : 5 - power);
    const [digits, raised] = exponential(size, power > 6 ? 6 : 5);
    return sign + digits + (raised < 0 ? "e−" : "e+") + String(Math.abs(raised)).padStart(2, "0");
  }
  return number;
})();
