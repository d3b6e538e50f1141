"""The command line: `python -m planetbridging emit | native | check | run | ladder | demo`.

Exit status: 0 yes or done, 1 the answer is no, 2 usage, 3 data at fault, 4 machine at fault.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import traceback
import warnings

from . import (__version__, api, arrays, checking, clash, folding, planets, runners, spec, stream,
               tour)
from .graph import BridgeError, BridgeWarning, MachineError, UsageError
from .programs import ProgramError

EPILOG = """\
SPEC names the network:
  pkg.mod:build     an object of that module, or a callable that returns it (the current
                    folder is searched first); each command calls it anew, so fix its seed
                    or give --weights
  model.keras       a file that Keras saved
  model.pkl         a scikit-learn pickle or joblib file, only with --trust: loading it runs code

PLANET is pytorch, keras, jax or sklearn.  ENGINE is onnxruntime, openvino, transformers, llama.cpp,
loom, or torch:pkg.mod:build, keras:..., jax:..., the module of that SPEC with the weights of a file
that loom-export -f safetensors wrote; run ENGINE --about says how it is set.  Binary output goes to a pipe or a file, never to a
terminal.

examples:
  python -m planetbridging emit pytorch net:build --input x.npy | loom-stream > net.entity
  python -m planetbridging native pytorch net:build --input x.npy > native.npy
  loom-infer -m net.entity x.npy | loom-compare - native.npy
  python -m planetbridging native pytorch net:build --input x.npy --taps taps.safetensors > y.npy
  python -m planetbridging check net:build --input x.npy
  loom-export -f onnx -o net.onnx net.entity
  python -m planetbridging run onnxruntime net.onnx < x.npy | loom-compare - native.npy
  python -m planetbridging run openvino net.onnx --inputs x.npz --outputs y.safetensors
  python -m planetbridging ladder pytorch net:build --input x.npy
  python -m planetbridging demo

In Python: planetbridging.check, planetbridging.testing.assert_same for pytest, and the calls of
openfluke/planetbridging (engines, absorb).  That project has the name planetbridging on PyPI: install
this package from its file (pip install ./planetbridging-*.whl), never by the bare name.

exit status: 0 yes or done, 1 they differ, 2 usage, 3 the data is at fault, 4 the machine is.
A framework version other than those this package was checked with is a warning, not an error.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status; never raises for a failure of the command."""
    parser = make_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return int(error.code or 0)
    warnings.showwarning = _show_warning
    # TensorFlow reads this when it is imported, which a user's module may do.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        clash.refuse()
        # What a user's module prints must not end up in a stream: it goes to standard error.
        with contextlib.redirect_stdout(sys.stderr):
            return arguments.command(arguments)
    except (Exception, SystemExit) as error:
        if arguments.debug:
            traceback.print_exc()
        return _report(error)


def run() -> None:
    """The process's entry: quiet when a reader goes away or the user interrupts."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)


def make_parser() -> argparse.ArgumentParser:
    """The option table; `--help` is made from it."""
    parser = argparse.ArgumentParser(
        prog="planetbridging", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="Take a live network out of its framework, check that Loom computes the same.")
    parser.add_argument("-V", "--version", action="version",
                        version=f"planetbridging {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    emit = _command(commands, "emit", "write the network as a layer stream, for loom-stream",
                    run_emit)
    emit.add_argument("planet", metavar="PLANET", help=", ".join(planets.PLANETS))
    _network_options(emit, "an example of the inputs, .npy or .npz by name, '-' is standard input; "
                     "pytorch and jax need one")
    _fold_option(emit)
    _output_option(emit)
    native = _command(commands, "native",
                      "write the framework's own outputs, .npy, or .npz by name", run_native)
    native.add_argument("planet", metavar="PLANET", help=", ".join(planets.PLANETS))
    _network_options(native, "the inputs, .npy or .npz by name (default: standard input)", "-")
    _output_option(native)
    native.add_argument("--float64", action="store_true",
                        help="compute in float64, with the same weights and the inputs as float32 "
                        "has them")
    native.add_argument("--taps", metavar="FILE",
                        help="write what the framework computes on the way too, a .safetensors of "
                        "the graph's tensors by name, for loom-compare and loom-infer --feed")
    check = _command(commands, "check", "do all of it: emit, stream, run, compare", run_check)
    check.add_argument("planet", metavar="PLANET", nargs="?", help="if the object does not tell")
    _network_options(check, "the inputs, .npy or .npz by name, '-' is standard input",
                     required=True)
    for name, meaning in (("atol", "absolute tolerance"), ("rtol", "relative tolerance")):
        check.add_argument(f"--{name}", metavar="X", help=f"{meaning}, passed to loom-compare")
    check.add_argument("--scale", choices=("none", "max"),
                       help="what --atol is multiplied by: 1, or the greatest |b| (at least 1)")
    check.add_argument("--keep", metavar="DIR", help="leave all files in this folder")
    _fold_option(check)
    _run_options(_command(commands, "run", "let another engine compute what a file says", run_run))
    ladder = _command(commands, "ladder",
                      "ask an independent Loom (welvet) too, and say what it gets wrong", run_ladder)
    ladder.add_argument("planet", metavar="PLANET", help=", ".join(planets.PLANETS))
    _network_options(ladder, "the inputs, .npy or .npz by name, '-' is standard input",
                     required=True)
    ladder.add_argument("--batch", action="store_true", help="hand over the whole input at once; "
                        "without, sample by sample, the first 8 of the first axis")
    ladder.add_argument("--timeout", metavar="SECONDS", type=_seconds, default=60.0,
                        help="for each call of Loom (60)")
    demo = _command(commands, "demo", "take a small network the whole path, then spoil it", tour.run)
    demo.add_argument("planet", metavar="PLANET", nargs="?", help="sklearn (if it is installed), "
                      "pytorch, keras, jax, or numpy, which needs no framework")
    demo.add_argument("--keep", metavar="DIR", help="leave all files in this folder")
    demo.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _seconds(text: str) -> float:
    """An argument that is a time."""
    if not 0 < float(text) < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no time to wait: expected more than 0 seconds")
    return float(text)


def _command(commands, name: str, meaning: str, function) -> argparse.ArgumentParser:
    sentence = meaning[0].upper() + meaning[1:] + "."
    command = commands.add_parser(name, help=meaning, description=sentence)
    command.set_defaults(command=function)
    return command


def _network_options(command, input_help: str, default=None, required=False) -> None:
    command.add_argument("spec", metavar="SPEC",
                         help="pkg.mod:build, a .keras file, or a pickle with --trust")
    weights = command.add_mutually_exclusive_group()
    weights.add_argument("--weights", metavar="FILE",
                         help="pytorch: take the weights from a .safetensors or state_dict file")
    weights.add_argument("--params", metavar="FILE",
                         help="jax: take the parameters from a .npz file")
    command.add_argument("--input", metavar="FILE", default=default, required=required,
                         help=input_help)
    command.add_argument("--name", metavar="NAME", help="the network's name in the stream")
    command.add_argument("--trust", action="store_true",
                         help="allow files that run code when loaded")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _fold_option(command) -> None:
    command.add_argument("--fold", choices=folding.FOLDS, help="make each batch norm right behind a "
                         "dense layer or convolution a part of it")


def _run_options(command) -> None:
    command.add_argument("engine", metavar="ENGINE", help=", ".join(
        f"{name}:pkg.mod:build" if name in runners.LIVE else name for name in runners.ENGINES))
    command.add_argument("model", metavar="MODEL", nargs="?",
                         help="the file or directory that the engine reads")
    command.add_argument("--inputs", metavar="FILE", default="-", help="the inputs, .npy, or .npz or "
                         ".safetensors by name (default: standard input)")
    command.add_argument("--outputs", "-o", metavar="FILE",
                         help="write here, by its suffix .npy, .npz or .safetensors, instead of "
                         "standard output")
    command.add_argument("--threads", metavar="N", type=_threads, default=1,
                         help="how many threads, where the engine lets itself be told (1)")
    command.add_argument("--about", action="store_true",
                         help="print what ENGINE reads, its settings and versions, and do nothing")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _threads(text: str) -> int:
    """An argument that is a number of threads."""
    if not text.isdecimal() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of threads, from 1 to 1024")
    return int(text)


def _output_option(command) -> None:
    command.add_argument("-o", "--output", metavar="FILE",
                         help="write here instead of standard output")


def run_emit(arguments) -> int:
    """emit: a layer stream of the network."""
    planet, obj = _network(arguments)
    example = arrays.read_arrays(arguments.input) if arguments.input else None
    graph = api.emit(obj, example=example, planet=planet, name=arguments.name, fold=arguments.fold)
    with arrays.binary_output(arguments.output) as out:
        stream.write(graph, out)
    return 0


def run_native(arguments) -> int:
    """native: what the framework itself computes."""
    if arguments.taps == "-" and arguments.output in (None, "-"):
        raise UsageError("--taps - and the outputs cannot both go to standard output: give -o FILE")
    inputs = arrays.read_arrays(arguments.input)
    planet, obj = _network(arguments)
    precision = "float64" if arguments.float64 else "float32"
    outputs = api.native(obj, inputs, planet=planet, precision=precision)
    if arguments.taps:
        taps = api.taps(obj, inputs, planet=planet, precision=precision)
        with arrays.binary_output(arguments.taps) as out:
            arrays.write_safetensors(taps, out)
    with arrays.binary_output(arguments.output) as out:
        arrays.write_arrays(outputs, out)
    return 0


def run_check(arguments) -> int:
    """check: all of it, with the verdict's status."""
    inputs = arrays.read_arrays(arguments.input)
    planet, obj = _network(arguments)
    options = [word for name in ("atol", "rtol", "scale") if getattr(arguments, name) is not None
               for word in (f"--{name}", getattr(arguments, name))]
    graph = api.emit(obj, example=inputs, planet=planet, name=arguments.name, fold=arguments.fold)
    outputs = planets.module(planet).native(obj, inputs)
    result = checking.run_check(graph, inputs, outputs, options, arguments.keep)
    sys.stderr.write(result.notes)
    source = "x.npy" if arguments.input == "-" else arguments.input
    commands = checking.pipeline(planet, _spec_words(arguments), source, inputs, outputs, options,
                                 arguments.fold)
    print(result.report.rstrip(), "", "The same in the shell:", commands, "",
          f"{arguments.spec}: {result.label}", sep="\n", file=sys.__stdout__)
    return result.status


def run_run(arguments) -> int:
    """run: what another engine computes."""
    if arguments.about:
        print(runners.about(arguments.engine), file=sys.__stdout__)
        return 0
    if arguments.model is None:
        raise UsageError(f"{arguments.engine} needs a MODEL: {runners.module(arguments.engine).READS}")
    runners.installed(arguments.engine)
    inputs = arrays.read_named(arguments.inputs)
    made = runners.run(arguments.engine, arguments.model, inputs, arguments.threads)
    with arrays.binary_output(arguments.outputs) as out:
        arrays.write_named(made, arguments.outputs, out)
    return 0


def run_ladder(arguments) -> int:
    """ladder: native in float64, loom-infer, and real Loom on the plain and on the lowered file."""
    from . import ladder, witness
    from .ladder import tables

    why = witness.missing()
    if why:
        raise MachineError(f"there is no Loom to ask: {why}; pip install welvet, or let "
                           f"${witness.ENVIRONMENT} name a Python that has it")
    inputs = arrays.read_arrays(arguments.input)
    planet, obj = _network(arguments)
    graph = api.emit(obj, example=inputs, planet=planet, name=arguments.name)
    row = ladder.climb_graph(arguments.spec, graph, inputs, _exact(planet, obj, inputs),
                             samples=None if arguments.batch else ladder.SAMPLES,
                             timeout=arguments.timeout)
    print(tables.table([row]) + tables.closing([row]), file=sys.__stdout__)
    return 1 if row.fault else 0


def _exact(planet: str, obj, inputs: dict) -> dict:
    """The framework's float64 outputs; a planet of one precision is fed float64."""
    try:
        return api.native(obj, inputs, planet=planet, precision="float64")
    except UsageError:
        wide = {name: array.astype(float) if array.dtype.kind == "f" else array
                for name, array in inputs.items()}
        return api.native(obj, wide, planet=planet)


def _network(arguments):
    """(planet, object) of SPEC with its weights, the current folder searched first."""
    planet = planets.canonical(arguments.planet) if arguments.planet else None
    weights = arguments.weights or arguments.params
    network = spec.resolve(arguments.spec, planet, weights, arguments.trust)
    # A user's module may have silenced all warnings.
    warnings.simplefilter("always", BridgeWarning)
    return network


def _spec_words(arguments) -> list[str]:
    """SPEC and the options that make its object, as they were given."""
    words = [arguments.spec]
    for name in ("weights", "params"):
        if getattr(arguments, name):
            words += [f"--{name}", getattr(arguments, name)]
    return words + ["--trust"] * arguments.trust


def _report(error: Exception | SystemExit) -> int:
    """One line on standard error, and the status for this kind of failure."""
    if isinstance(error, ProgramError):
        print(error, file=sys.stderr)
        return error.status
    kinds = ((UsageError, 2), (BridgeError, 3), (MachineError, 4))
    status = next((status for kind, status in kinds if isinstance(error, kind)), None)
    text = " ".join(str(error).split())
    if status is None and isinstance(error, OSError) and error.errno:
        text = f"{error.filename or 'output'}: {os.strerror(error.errno)}"
    elif status is None:
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    print(f"planetbridging: {text}", file=sys.stderr)
    return 4 if status is None else status


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Ours in one line; those of frameworks as Python shows them."""
    if issubclass(category, BridgeWarning):
        print(f"planetbridging: warning: {message}", file=sys.stderr)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))
