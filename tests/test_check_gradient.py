"""The gradient that a check prints has no unit: it does not change with the data's units, and is at most 1."""

import numpy as np
import pytest

import katamuki as km
from katamuki.report.judgement import check_text

X = np.linspace(0.0, 5.0, 40)
Y = 3.0 * np.exp(-0.7 * X) + 0.5 + 0.05 * np.random.default_rng(6).standard_normal(40)


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_the_gradient_of_a_report_is_small_whatever_the_unit(unit: float) -> None:
    # This used to print 4e+34 and 8000000 in reports of right answers.
    fit = km.fit("y ~ a*exp(-b*x) + c", {"x": X, "y": Y * unit})
    check = fit.check()
    assert check.verdict == "PASS"
    assert 0.0 <= check.facts["relative_gradient"] < 1e-9
    (said,) = [one for one in check_text(check, fit.solution) if "gradient" in one]
    assert float(said.split("gradient at the answer ")[1].split()[0].replace("−", "-")) < 1e-9


def test_away_from_the_answer_it_is_the_cosine_of_residuals_and_columns() -> None:
    with pytest.warns(km.FitWarning):
        fit = km.fit("y ~ a*x + b", {"x": X, "y": Y}, solver=km.SGD(lr=0.001, steps=20), start={"a": 0.0, "b": 0.0})
    columns = np.array([X, np.ones(40)])
    left = Y - fit.params["a"] * X - fit.params["b"]
    cosine = np.abs(columns @ left) / np.linalg.norm(columns, axis=1) / np.linalg.norm(left)
    found = fit.check().facts["relative_gradient"]
    assert found == pytest.approx(cosine.max(), rel=1e-9)
    assert found > 1e-3


def test_where_residuals_are_rounding_nothing_is_said_of_the_gradient() -> None:
    fit = km.fit("y ~ a*x + b", {"x": X, "y": 2.0 * X + 1.0})
    check = fit.check()
    assert check.verdict == "PASS"
    assert "relative_gradient" not in check.facts
    assert "gradient" not in "".join(check_text(check, fit.solution))
