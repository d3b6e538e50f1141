"""What a random scikit-learn pipeline is: scalers, projections, columns apart, and a model at the end.

There are no trees of modules here; what stands for a shared module, a tie, construction in reverse
order, a residual and branches is one estimator that is used in several places, columns that come
back unchanged beside others, estimators made from the last to the first, and a perceptron of which
two layers have one matrix.
"""

from __future__ import annotations

from .dice import Dice
from .spec import Module, Step, Tree, Value

BATCHES = (4, 7)
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer")
PROJECTIONS = ("PCA", "TruncatedSVD")
MODELS = ("MLPClassifier", "MLPClassifier", "MLPRegressor", "MLPRegressor", "LinearRegression", "Ridge",
          "LogisticRegression", "RidgeClassifier", "LinearSVC", "SGDClassifier")
FORMS = ("chain", "residual", "branch", "shared", "twice")


def tree(seed: int) -> Tree:
    """What the pipeline of a seed is."""
    dice = Dice(f"tree sklearn {seed}")
    x = Value("vector", dice.one((6, 8, 10)))
    root, features = Module("pipeline", ("x",)), set()
    if dice.chance(1, 2):
        root.reverse = True
        features.add("reverse")
    for n in range(dice.between(1, 3)):
        form = dice.one(FORMS)
        features |= {form} - {"chain", "twice"}
        step(root, f"{form}{n}", form, part(dice), x)
    last = dice.one(MODELS)
    params = model(dice, last)
    if len(params.get("hidden", ())) == 3:
        features.add("tied")
    step(root, "model", last, params, x)
    root.outputs = (root.steps[-1].outs[0],)
    return Tree("sklearn", seed, "pipeline", root, {"x": x}, BATCHES, False, features)


def step(root: Module, name: str, op: str, params: dict, x: Value) -> None:
    root.parts[name] = (op, params, x)
    before = root.steps[-1].outs[0] if root.steps else "x"
    root.steps.append(Step(op, (before,), (f"v{len(root.steps)}",), params, name, x))


def part(dice: Dice) -> dict:
    return {"scaler": dice.one(SCALERS), "other": dice.one(SCALERS), "projection": dice.one(PROJECTIONS),
            "components": dice.between(2, 3), "whiten": dice.chance(1, 2)}


def model(dice: Dice, name: str) -> dict:
    if name.startswith("MLP"):
        return {"hidden": [dice.one((5, 7))] * dice.one((1, 2, 3, 3)),
                "activation": dice.one(("identity", "logistic", "tanh", "relu")), "outputs": dice.between(1, 3)}
    return {"outputs": dice.between(1, 3)}
