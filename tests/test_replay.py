"""The page that replays a run, in a real browser: its numbers are the trace's, and strangers' texts stay texts."""

from __future__ import annotations

import base64
import json
import math
import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import katamuki as km
from browser import Page, opened
from katamuki.plot.replay import FOLDER, inert
from katamuki.report import number

TUTORIAL = km.datasets("tutorial")
# Each key state is shown by the slider and written down; then numbers are printed, and the play button is pressed.
WALK = """<script>
const seen = [], slider = document.getElementById("slider");
for (let k = 0; k <= Number(slider.max); k++) {
  slider.value = k;
  slider.dispatchEvent(new Event("input"));
  const cells = {};
  for (const one of document.querySelectorAll("td[id], dd[id], output, #story")) cells[one.id] = one.textContent;
  cells.spoken = slider.getAttribute("aria-valuetext");
  cells.curve = document.getElementById("now-curve").getAttribute("d");
  cells.here = ["cx", "cy"].map((name) => document.getElementById("here").getAttribute(name));
  cells.path = document.getElementById("path").getAttribute("d").split("L").length;
  seen.push(cells);
}
const out = document.createElement("pre");
out.id = "seen";
out.textContent = JSON.stringify({ seen, printed: CASES.map(printed) });
document.body.append(out);
slider.value = 0;
slider.dispatchEvent(new Event("input"));
slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", shiftKey: true, cancelable: true }));
out.dataset.far = slider.value;
const later = document.createElement("pre");
later.id = "address";
document.body.append(later);
setTimeout(() => { later.textContent = location.hash; }, 14000);
// Frames are drawn in real time, timers in the browser's.
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
document.getElementById("play").click();
</script>"""
CASES = [
    *(
        0.0,
        -0.0,
        0.5,
        1.0,
        -45.018181818181816,
        2.0,
        3.0000909090909091,
        1234567.8,
        9.9999999,
        9999999.5,
        1.5e-9,
        -1e-320,
    ),
    *(
        1.0078125,
        1.0234375,
        0.00048828125,
        12345675.0,
        12345665.0,
        1e21,
        -1e300,
        5e-324,
        0.0001,
        0.00009999999,
        123456.5,
    ),
    *(1 / 3, 2 / 3, 1e-4, 9.99999e-5, 999999.95, 0.1 + 0.2, 6.0000005, 2.5, 1e22, 1.7976931348623157e308),
]


def fitted(formula: str, data: Any, **more: Any) -> km.Fit:
    try:
        return km.fit(formula, data, **more)
    except km.NotConverged as error:
        return error.fit  # type: ignore[return-value]


def sent(page: str) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r'<script type="application/json" id="replay">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def rmsprop() -> km.Fit:
    with pytest.warns(km.FitWarning):
        return fitted("y ~ a*x + b", TUTORIAL, start={"a": 0.5, "b": 0.5}, solver=km.RMSprop(lr=0.001, steps=6000))


@pytest.fixture(scope="module")
def html(rmsprop: km.Fit) -> str:
    return rmsprop.replay_html()


@pytest.fixture(scope="module")
def walked(html: str, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The tutorial's page after every key state was shown once and the play button was pressed."""
    numbers = json.dumps([*CASES])
    script = WALK.replace("CASES", f"[NaN, Infinity, -Infinity, ...{numbers}]")
    return opened(html.replace("</body>", script + "</body>"), tmp_path_factory.mktemp("walk"), "", 15_000)


@pytest.fixture(scope="module")
def seen(walked: Page) -> list[dict[str, Any]]:
    return json.loads(walked.text["seen"])["seen"]  # type: ignore[no-any-return]


def test_every_number_at_every_key_step_is_that_of_the_trace(rmsprop: km.Fit, html: str, seen: Any) -> None:
    trace, reference = rmsprop.trace, rmsprop.solution.reference
    assert trace is not None
    assert reference is not None
    steps = sent(html)["steps"]
    assert len(seen) == len(steps) <= 500
    for step, cells in zip(steps, seen, strict=True):
        row = step - 1
        for k, name in enumerate("ab"):
            assert cells[f"value{k}"] == number(trace.params[row, k])
            assert cells[f"gradient{k}"] == number(trace.gradient[row, k])
            assert cells[f"step{k}"] == number(trace.step[row, k])
            assert cells[f"apart{k}"] == number(trace.params[row, k] - reference.params[name])
        assert cells["loss"] == number(trace.loss[row])
        assert cells["height"] == number(trace.loss[row] - reference.loss)
        assert cells["where"] == ("result after 6000 steps" if row == 6000 else f"step {step} of 6000")
        a, b = (number(one) for one in trace.params[row])
        assert cells["spoken"] == f"{cells['where']}, loss {number(trace.loss[row])}, a {a}, b {b}"
    assert seen[1]["value0"] != number(trace.params[0, 0])  # another row's number would be noticed


def test_the_story_of_a_step_adds_up(rmsprop: km.Fit, html: str, seen: Any) -> None:
    trace, steps = rmsprop.trace, sent(html)["steps"]
    assert trace is not None
    x = np.asarray(TUTORIAL["x"], dtype=float)
    h = 2 / 11 * np.array([[x @ x, x.sum()], [x.sum(), 11]])
    for k in (0, 1, steps.index(1258), len(steps) - 2):
        row = steps[k] - 1
        promise, bend = trace.gradient[row] @ trace.step[row], trace.step[row] @ h @ trace.step[row] / 2
        said = seen[k]["story"]
        assert f"promised {number(promise)}," in said
        printed = float(re.findall(r"added (\S+)\.$", said)[0].replace("−", "-"))
        assert printed == pytest.approx(bend, rel=1e-4, abs=1e-15)
        assert f"from {number(trace.loss[row])} to {number(trace.loss[row + 1])}" in said
    assert "promised −0.500200, the bend of the surface added 0.0110000" in seen[0]["story"]
    assert seen[-1]["story"] == "This is where the run ended; no step follows."


def test_what_happened_is_among_the_key_steps_with_a_button(html: str) -> None:
    steps = sent(html)["steps"]
    assert {1, 2, 312, 1183, 1258, 3246, 6000, 6001} <= set(steps)
    buttons = re.findall(r'<button type="button" value="(\d+)">([^<]*)</button>', html)
    assert ("1183", "1183 stability limit passed") in buttons
    assert {int(step) for step, _ in buttons} <= set(steps)


def test_the_curve_and_the_point_move_with_the_parameters(rmsprop: km.Fit, html: str, seen: Any) -> None:
    trace, steps = rmsprop.trace, sent(html)["steps"]
    assert trace is not None
    ends = []
    for cells in seen:
        assert re.fullmatch(r"M[\d.]+ [\d.]+L[\d.]+ [\d.]+", cells["curve"])  # a line needs two points
        ends.append([float(one) for one in re.findall(r"[\d.]+", cells["curve"])])
    rows = np.array(steps) - 1
    left, right = 4.0, 14.0  # ends of the tutorial's x: pixels are linear in the height of the line there
    for column, x in ((1, left), (3, right)):
        height = trace.params[rows, 0] * x + trace.params[rows, 1]
        fit = np.polyfit(height, np.array(ends)[:, column], 1)
        assert fit[0] < 0
        np.testing.assert_allclose(np.polyval(fit, height), np.array(ends)[:, column], atol=0.12)
    here = np.array([[float(one) for one in cells["here"]] for cells in seen])
    for k in range(2):
        fit = np.polyfit(trace.params[rows, k], here[:, k], 1)
        np.testing.assert_allclose(np.polyval(fit, trace.params[rows, k]), here[:, k], atol=0.12)
    corners = [cells["path"] for cells in seen]
    assert corners == sorted(corners)
    assert corners[0] < 4
    assert corners[-1] > 100


def test_the_browser_prints_numbers_as_the_reports_do(walked: Page) -> None:
    expected = [number(one) for one in (math.nan, math.inf, -math.inf, *CASES)]
    assert json.loads(walked.text["seen"])["printed"] == [one.replace("-inf", "−inf") for one in expected]


def test_play_goes_to_the_end_and_shift_with_an_arrow_goes_ten_states(walked: Page) -> None:
    assert walked.text["where"] == "result after 6000 steps"
    assert walked.attributes["play"]["aria-pressed"] == "false"
    assert walked.text["address"] == "#step=6001"
    assert walked.attributes["seen"]["data-far"] == "10"


def test_an_address_with_a_step_opens_that_step(rmsprop: km.Fit, html: str, tmp_path: Path) -> None:
    trace, cycle = rmsprop.trace, rmsprop.solution.cycle
    assert trace is not None
    assert cycle is not None
    page = opened(html, tmp_path, f"#step={cycle.since}")
    assert page.text["heading"] == f"step {cycle.since} of 6000"
    assert page.text["value0"] == number(trace.params[cycle.since - 1, 0])
    assert page.text["note"] == ""
    assert page.attributes["slider"]["aria-valuetext"].startswith(f"step {cycle.since} of 6000, loss")  # type: ignore[union-attr]


def test_a_step_that_is_not_in_the_page_is_said_and_strangers_names_stay_text(tmp_path: Path) -> None:
    name = "x</script><b id='owned'>\"&"
    x = np.linspace(1.0, 4.0, 8)
    fit = fitted(
        f"y ~ a*`{name}` + b", {name: x, "y": 2 * x + np.cos(5 * x)}, solver=km.SGD(lr=0.05, steps=5000), start={"a": 0}
    )
    html = fit.replay_html()
    steps = sent(html)["steps"]
    asked = next(step for step in range(1, 5000) if step not in steps)
    page = opened(html, tmp_path, f"#step={asked}")
    assert re.fullmatch(rf"Step {asked} is not in this page; .* step \d+, is shown\.", page.text["note"])
    assert page.text["value0"] not in {"", "—"}
    assert "owned" not in page.attributes
    assert "b" not in page.tags
    assert page.tags.count("script") == 3
    assert "<b id" not in html
    harmful = html.replace("&lt;b id=&#x27;owned&#x27;&gt;", "<b id='owned'>")
    assert "owned" in Page(harmful).attributes  # and it would have been seen


def test_data_cannot_end_the_script_they_stand_in() -> None:
    text = inert({"name": "</script><!--&", "n": 1})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": "</script><!--&", "n": 1}
    with pytest.raises(ValueError, match="JSON"):
        inert({"n": math.nan})


def test_the_page_needs_no_network_and_forbids_it(html: str) -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:" in html
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)|src=", html)
    own = sum(
        (FOLDER / name).stat().st_size for name in ("replay.js", "replay_numbers.js", "replay.css", "replay.html")
    )
    assert own < 60_000
    assert len(html) < 400_000


def test_the_page_names_itself_its_language_and_its_pictures(html: str) -> None:
    page = Page(html)
    assert '<html lang="en">' in html
    assert "y ~ a*x + b" in html
    for name in ("fit", "surface", "chart0", "chart3"):
        assert page.attributes[name]["role"] == "img"
        assert page.attributes[name]["aria-label"]
    assert "prefers-color-scheme: dark" in html


def numbers_of(html: str) -> dict[str, Any]:
    """All numbers of a page: of its pictures and tables, and of its data."""
    data = sent(html)
    drawn = "".join(re.findall(r"<svg.*?</svg>|<tbody>.*?</tbody>|<dd.*?</dd>", html, re.DOTALL))
    return {
        "drawn": re.findall(r"[\d.]+", re.sub(r'aria-label="[^"]*"|<title>.*?</title>', "", drawn)),
        **data | {"words": 0},
    }


def test_the_japanese_page_has_the_same_numbers(rmsprop: km.Fit, html: str) -> None:
    japanese = rmsprop.replay_html("ja")
    assert '<html lang="ja">' in japanese
    assert numbers_of(japanese) == numbers_of(html)
    assert numbers_of(japanese) != numbers_of(rmsprop.replay_html(of=("b", "a")))
    assert set(sent(japanese)["words"]) == set(sent(html)["words"])


def test_numbers_arrive_with_all_their_digits(rmsprop: km.Fit, html: str) -> None:
    data, trace = sent(html), rmsprop.trace
    assert trace is not None
    params = np.frombuffer(base64.b64decode(data["facts"]["params"]), dtype="<f8").reshape(-1, 2)
    np.testing.assert_array_equal(params, trace.params[np.array(data["steps"]) - 1])


def test_a_diverged_run_says_what_lies_outside(tmp_path: Path) -> None:
    fit = fitted("y ~ a*x + b", TUTORIAL, start={"a": 0.5, "b": 0.5}, solver=km.SGD(lr=10.0, steps=6000))
    html = fit.replay_html()
    page = opened(html, tmp_path, f"#step={sent(html)['steps'][-1]}")
    assert page.attributes["fit-outside"]["style"] != "display:none"
    assert page.attributes["surface-outside"]["style"] != "display:none"
    assert page.text["where"].startswith("result after")


def test_several_predictors_and_levenberg_marquardt_are_replayed(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    u, v = rng.uniform(0.0, 2.0, (2, 40))
    y = 2.0 * np.exp(-u) + 0.5 * v + rng.normal(0.0, 0.05, 40)
    fit = km.fit("y ~ a*exp(-b*u) + c*v", {"u": u, "v": v, "y": y}, start={"a": 1, "b": 2, "c": 0})
    trace = fit.trace
    assert trace is not None
    html = fit.replay_html()
    refused = [k for k in range(len(trace) - 1) if not trace.extra["accepted"][k]]
    assert sent(html)["rejected"] == refused
    page = opened(html, tmp_path, "#step=2")
    moved = [float(one) for one in re.findall(r"M([\d.]+) ", str(page.attributes["now-points"]["d"]))]
    a, b, c = trace.params[1]
    predicted = a * np.exp(-b * u) + c * v
    fitted_line = np.polyfit(predicted, moved, 1)
    np.testing.assert_allclose(np.polyval(fitted_line, predicted), moved, atol=0.12)
    assert page.text["stability"] == number(trace.extra["damping"][1])


def test_a_closed_form_has_nothing_to_replay_and_says_so() -> None:
    with pytest.raises(km.BoundsError) as caught:
        km.fit("y ~ a*x + b", TUTORIAL).replay_html()
    assert caught.value.key == "plot.no_steps"


WITHIN = """<iframe id="frame" width="420" height="900" srcdoc="{page}"></iframe><p id="out"></p><script>
addEventListener("load", () => {{
  const inside = document.getElementById("frame").contentDocument;
  const ends = [...inside.querySelectorAll(".bar *, .numbers th, .numbers td")];
  document.getElementById("out").textContent = Math.max(...ends.map((one) => one.getBoundingClientRect().right));
}});
</script>"""


def test_a_narrow_window_cuts_nothing_off(html: str, tmp_path: Path) -> None:
    # the counter and half of the table used to lie outside of 420 pixels
    def rightmost(page: str) -> float:
        return float(opened(WITHIN.format(page=escape(page)), tmp_path).text["out"])

    assert 300 < rightmost(html) <= 420
    assert rightmost(html.replace("max-width: 540px", "max-width: 1px")) > 420
