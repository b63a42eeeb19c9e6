"""The commands and flags of the command line: one row per flag, read by :mod:`katamuki.cli.arguments`.

A flag that means different things to two commands has a row for each. What it means stands in the catalogue under
``cli.help.NAME``, or ``cli.help.NAME.COMMAND`` where a command needs other words.
"""

from __future__ import annotations

from dataclasses import dataclass

from katamuki import messages

FITTING = frozenset({"fit", "explain", "check", "trace", "plot", "predict", "export"})
RUN = FITTING | {"race"}
MODELLED = RUN | {"many"}  # what begins with a formula
COMMANDS = (
    "fit", "explain", "check", "race", "trace", "plot", "predict", "many", "export", "data", "selftest", "completion",
    "help",
)  # fmt: skip
SHELLS = ("bash", "zsh")
LANGUAGES = messages.languages()
CLASSES = {  # of the library, by what is typed: written here because --help must not load them
    "linear": "Linear", "lm": "LevenbergMarquardt", "levenbergmarquardt": "LevenbergMarquardt",
    "sgd": "SGD", "asgd": "ASGD", "adagrad": "Adagrad", "adadelta": "Adadelta", "rmsprop": "RMSprop", "rprop": "Rprop",
    "adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "nadam": "NAdam", "radam": "RAdam", "lbfgs": "LBFGS",
}  # fmt: skip
SOLVERS = ("auto", *(name for name in CLASSES if name != "levenbergmarquardt"))
FILES = {"bash": "_shtab_compgen_files", "zsh": "_files"}
COLUMNS = {"bash": "_katamuki_columns", "zsh": "_katamuki_columns"}


@dataclass(frozen=True)
class Flag:
    """One flag: its spellings, what its value is called (None: it has none), and the commands that have it."""

    spellings: tuple[str, ...]
    value: str | None
    group: str
    commands: frozenset[str] = FITTING
    choices: tuple[str, ...] = ()
    complete: dict[str, str] | None = None
    both: bool = False  # --header has --no-header
    many: bool = False  # may be given several times

    @property
    def name(self) -> str:
        """The name in the parsed arguments."""
        return self.spellings[-1].lstrip("-").replace("-", "_")


def only(*commands: str) -> frozenset[str]:
    """These commands."""
    return frozenset(commands)


EVERYWHERE = frozenset({*COMMANDS})
SOLVER = "NAME[:OPTION=VALUE,…]"
FLAGS = (
    Flag(("--start",), "a=0.5,b=0.5", "model", MODELLED, many=True),
    Flag(("--params",), "a,b", "model", MODELLED),
    Flag(("--fix",), "b=3", "model", MODELLED, many=True),
    Flag(("--bounds",), "a=0:1,b=0:", "model", FITTING | {"many"}, many=True),
    Flag(("--sigma",), "COLUMN|NUMBER", "model", MODELLED, complete=COLUMNS),
    Flag(("--sigma-is",), "known|relative", "model", MODELLED, choices=("known", "relative")),
    Flag(("--weights",), "COLUMN", "model", MODELLED, complete=COLUMNS),
    Flag(("--loss",), "squared", "model", choices=("squared",)),
    Flag(("--solver",), SOLVER, "solver", choices=SOLVERS),
    Flag(("--solver",), SOLVER, "solver", only("race"), choices=SOLVERS, many=True),
    Flag(("--lr",), "NUMBER", "solver"),
    Flag(("--steps",), "NUMBER", "solver", RUN),
    Flag(("--no-zero-grad",), None, "solver", only("fit", "explain", "trace")),
    Flag(("--backend",), "auto|kernel|torch", "solver", choices=("auto", "kernel", "torch")),
    Flag(("--dtype",), "float64|float32", "solver", choices=("float64", "float32")),
    Flag(("--device",), "cpu|cuda", "solver", choices=("cpu", "cuda")),
    Flag(("--starts",), "N|auto", "solver", FITTING | {"many"}, choices=("auto",)),
    Flag(("--max-seconds",), "SECONDS", "solver", MODELLED),
    Flag(("--max-memory",), "BYTES", "data", FITTING | {"many"}),
    Flag(("--seed",), "NUMBER", "solver", FITTING | {"many", "race", "selftest"}),
    Flag(("--threads",), "N", "solver", only("many")),
    Flag(("--by",), "COLUMN[,COLUMN]", "data", only("many"), complete=COLUMNS),
    Flag(("--where",), "CONDITION", "data", MODELLED, complete=COLUMNS),
    Flag(("--missing",), "error|drop", "data", MODELLED, choices=("error", "drop")),
    Flag(("--sep",), "CHARACTER", "data", MODELLED),
    Flag(("--decimal",), "CHARACTER", "data", MODELLED, choices=(".", ",")),
    Flag(("--header",), None, "data", MODELLED, both=True),
    Flag(("--time",), "t=s", "data", MODELLED, many=True),
    Flag(("--step",), "N", "output", only("explain")),
    Flag(("--detail",), "glance|numbers|rules", "output", only("explain"), choices=("glance", "numbers", "rules")),
    Flag(("--row",), "N", "output", only("explain")),
    Flag(("--graph",), None, "output", only("explain")),
    Flag(("--autograd",), None, "output", only("explain")),
    Flag(("--at",), "FILE", "output", only("predict"), complete=FILES),
    Flag(("--what",), "fit|surface|steps|stability", "output", only("plot"),
         choices=("fit", "surface", "steps", "stability")),
    Flag(("--of",), "a,b", "output", only("plot")),
    Flag(("--method",), "slice|profile", "output", only("plot"), choices=("slice", "profile")),
    Flag(("--interval",), "mean|new", "output", only("plot", "predict"), choices=("mean", "new")),
    Flag(("--level",), "0.95", "output", only("plot", "predict")),
    Flag(("--every",), "N|geometric", "output", only("trace"), choices=("geometric",)),
    Flag(("--full",), None, "output", only("trace")),
    Flag(("--to",), "torch|numpy|scipy|katamuki", "output", only("export"),
         choices=("torch", "numpy", "scipy", "katamuki")),
    Flag(("--json",), None, "output", MODELLED | {"selftest"}),
    Flag(("--csv",), None, "output", only("fit", "many", "race", "selftest")),
    Flag(("--plot",), None, "output", only("fit"), both=True),
    Flag(("-o", "--output"), "FILE", "output", only("plot", "race", "explain", "export", "many"), complete=FILES),
    Flag(("--resume",), None, "output", only("many")),
    Flag(("--force",), None, "output", only("many")),
    Flag(("--check",), "N", "output", only("many")),
    Flag(("--save",), "FILE.json", "output", only("fit"), complete=FILES),
    Flag(("--strict",), None, "output", only("fit", "check", "many")),
    Flag(("--quiet",), None, "output", MODELLED | {"selftest"}),
    Flag(("--lang",), "|".join(LANGUAGES), "output", EVERYWHERE, choices=LANGUAGES),
    Flag(("--color",), "auto|always|never", "output", EVERYWHERE, choices=("auto", "always", "never")),
    Flag(("--debug",), None, "output", EVERYWHERE),
)  # fmt: skip
FREE = frozenset({"solver", "starts", "every", "loss", "device"})  # their choices are examples, checked later
