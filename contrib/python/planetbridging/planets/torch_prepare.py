"""A PyTorch module made ready to be recorded or run, and put back as it was."""

from __future__ import annotations

import contextlib
import copy
import functools

import torch
from torch import nn
from torch.nn.utils import prune
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ..graph import BridgeError, Problem, Unsupported
from .signature import one_line
from .torch_inputs import weight_dtype


def insist_on_eval(obj) -> None:
    """Refuse a module that trains, and one that is not on the CPU."""
    for key, tensor in [*obj.named_parameters(), *obj.named_buffers()]:
        if tensor.device.type != "cpu":
            raise BridgeError(f"{key} is on {tensor.device}: call .cpu() on the model first")
    training = [(path, module) for path, module in obj.named_modules() if module.training]
    if training and not training[0][0]:
        raise BridgeError(f"{type(obj).__name__} is in training mode: call .eval() on it first")
    if training:
        raise Unsupported([Problem(path, type(module).__name__, "in training mode: call .eval() first")
                           for path, module in training])


@contextlib.contextmanager
def computing(obj, precision: str):
    """The module itself, or for "float64" a copy of it that computes so."""
    if precision not in ("float32", "float64"):
        raise BridgeError(f"precision is {precision!r}, expected 'float32' or 'float64'")
    if precision == "float32":
        yield obj
        return
    before = torch.get_default_dtype()
    try:
        wide = copy.deepcopy(obj).double()
    except Exception as error:  # a module may hold anything
        raise BridgeError(f"{type(obj).__name__} cannot be copied to compute in float64: "
                          f"{one_line(error)}") from error
    step = torch.finfo(torch.promote_types(weight_dtype(obj), torch.float32)).eps
    attend = torch.nn.MultiheadAttention.forward

    @functools.wraps(attend)
    def unwatched(self, *args, **named):
        # Where a mode looks on, attention takes another of its ways than it does for the user.
        with torch._C.DisableTorchFunction():
            return attend(self, *args, **named)
    torch.nn.MultiheadAttention.forward = unwatched
    torch.set_default_dtype(torch.float64)
    try:
        with widened(step):
            yield wide
    finally:
        torch.set_default_dtype(before)
        torch.nn.MultiheadAttention.forward = attend


def widened(step: float):
    """A mode in which code that asks for float32 gets float64, and rms_norm's eps is `step`.

    Without eps that norm would take float64's own step, which makes it another function.
    """
    class Widened(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            args, kwargs = pytree.tree_map(lambda a: torch.float64 if a is torch.float32 else a,
                                           (args, kwargs or {}))
            if func is torch.Tensor.float:
                func = torch.Tensor.double
            norms = (torch.rms_norm, torch.nn.functional.rms_norm)
            if func in norms and (args[3:] or [kwargs.get("eps")])[0] is None:
                args, kwargs = args[:3], {**kwargs, "eps": step}
            return func(*args, **kwargs)
    return Widened()


@contextlib.contextmanager
def prepared(obj):
    """(the network, what its evaluated weights were computed from), for as long.

    Wrappers of torch.compile and data-parallel training are taken off, and weights that a norm
    or a mask computes anew in each call are plain ones.
    """
    network = unwrapped(obj)
    refuse_sealed(network)
    refuse_quantised(network)
    insist_on_eval(network)
    with contextlib.ExitStack() as undo:
        take_off(network, undo)
        evaluated = {}
        for path, module in list(network.named_modules()):
            evaluated |= plain_weights(path, module, undo)
            # Keys and values for a next call are no result of this one.
            switch_off(getattr(module, "config", None), "use_cache", undo)
            if isinstance(module, nn.TransformerEncoder):
                # Its way through nested tensors writes zeros at padded places, the plain one values.
                switch_off(module, "use_nested_tensor", undo)
        yield network, evaluated


def switch_off(owner, name: str, undo) -> None:
    """Make an attribute that is True False for as long."""
    if getattr(owner, name, None) is True:
        undo.callback(setattr, owner, name, True)
        setattr(owner, name, False)


def unwrapped(module):
    """The module inside wrappers that do nothing on one CPU."""
    from torch._dynamo.eval_frame import OptimizedModule

    while True:
        if isinstance(module, OptimizedModule):
            module = module._orig_mod
        elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        else:
            return module


def take_off(network, undo) -> None:
    """Take the wrappers off modules inside, and what `module.compile()` has set."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if unwrapped(child) is not child:
                undo.callback(parent._modules.__setitem__, name, child)
                parent._modules[name] = unwrapped(child)
    for module in network.modules():
        if module._compiled_call_impl is not None:
            undo.callback(setattr, module, "_compiled_call_impl", module._compiled_call_impl)
            module._compiled_call_impl = None


def refuse_sealed(network) -> None:
    """Name every module without Python code or without shapes, all at once."""
    found: list[Problem] = []
    for path, module in network.named_modules():
        inside = any(path.startswith(f"{above.path}.") or above.path == "the model" for above in found)
        if isinstance(module, torch.jit.ScriptModule) and not inside:
            found.append(Problem(path or "the model", getattr(module, "original_name", "ScriptModule"),
                                 "TorchScript: give the module that it was made from"))
        elif isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
            found.append(Problem(path or "the model", type(module).__name__,
                                 "no shapes yet: call the model once"))
    if found:
        raise Unsupported(found)


def refuse_quantised(network) -> None:
    """Name every module whose weights are packed integers, all at once."""
    found: list[tuple] = []
    for path, module in network.named_modules():
        if is_quantised(module) and not any(path.startswith(f"{above}.") for above, _ in found):
            found.append((path, module))
    if found:
        raise Unsupported([Problem(path or "the model", type(module).__name__, "quantised weights")
                           for path, module in found])


def is_quantised(module) -> bool:
    """Whether a module is one of torch.ao's quantised ones, or holds tensors of such a kind."""
    own = type(module).__module__
    if own.startswith("torch.ao.nn") and "quantized" in own.split(".") and "qat" not in own.split("."):
        return True
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return any(t.is_quantized or type(t) not in (torch.Tensor, nn.Parameter, nn.Buffer)
               for t in tensors)


def plain_weights(path: str, module, undo) -> dict[str, str]:
    """Make the computed weights of one module plain ones; what each was computed from, by name."""
    found = {**of_parametrizations(module, undo), **of_hooks(module, undo)}
    dot = f"{path}." if path else ""
    return {dot + name: f"{dot}{name} of {', '.join(dot + part for part in parts)}"
            for name, parts in found.items()}


def of_parametrizations(module, undo) -> dict[str, list[str]]:
    """torch.nn.utils.parametrizations: the class goes back to the one it was made from."""
    if not nn.utils.parametrize.is_parametrized(module):
        return {}
    lists = module.parametrizations
    values = {name: getattr(module, name) for name in lists}
    parts = {name: [f"parametrizations.{name}.{key}" for key, _ in lists[name].named_parameters()]
             for name in lists}
    cls = type(module)
    undo.callback(setattr, module, "__class__", cls)
    undo.callback(module._modules.__setitem__, "parametrizations", lists)
    module.__class__ = cls.__bases__[0]
    del module._modules["parametrizations"]
    for name, value in values.items():
        hold(module, name, value, undo)
    return parts


def of_hooks(module, undo) -> dict[str, list[str]]:
    """The older weight_norm, spectral_norm and pruning, which compute a weight before each call."""
    parts = {}
    for key, hook in list(module._forward_pre_hooks.items()):
        value = computed_by(hook, module)
        if value is None:
            continue
        name = getattr(hook, "name", None) or hook._tensor_name
        parts[name] = [n for n in module._parameters if n.startswith(f"{name}_")]
        undo.callback(module._forward_pre_hooks.__setitem__, key, hook)
        del module._forward_pre_hooks[key]
        if name in vars(module):
            undo.callback(vars(module).__setitem__, name, vars(module).pop(name))
        for part in parts[name]:
            undo.callback(module._parameters.__setitem__, part, module._parameters.pop(part))
        hold(module, name, value, undo)
    return parts


def computed_by(hook, module):
    """The weight that a hook computes, in eval mode; None if it is none of torch's own."""
    kind = f"{type(hook).__module__}.{type(hook).__name__}"
    if kind == "torch.nn.utils.spectral_norm.SpectralNorm":
        return hook.compute_weight(module, do_power_iteration=False)
    if kind == "torch.nn.utils.weight_norm.WeightNorm":
        return hook.compute_weight(module)
    return hook.apply_mask(module) if isinstance(hook, prune.BasePruningMethod) else None


def hold(module, name: str, value, undo) -> None:
    """Let the module hold `value` as a parameter."""
    undo.callback(module._parameters.pop, name)
    module._parameters[name] = nn.Parameter(value.detach().clone(), requires_grad=False)
