"""Kernels for GPUs, without one: Triton interprets them against the definition, and compiles them.

What interprets cannot compile, so each way has a process of its own, where Triton is loaded first.
"""

import contextlib
import functools
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from effcc.nn import condconv as conditional
from effcc.nn.condconv import condconv_loop, pads

pytestmark = pytest.mark.skipif(
    not find_spec("triton"), reason="Triton is not installed: pip install triton"
)

FORMS = [
    (kernel, stride, padding)
    for kernel in (3, 5)
    for stride in (1, 2)
    for padding in ("same", "symmetric")
]


@contextlib.contextmanager
def process(**environment):
    """Calls in another process, which begins with these variables."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            pool.submit(os.getpid).result()
        yield lambda function, *words: pool.submit(function, *words).result()


@pytest.fixture(scope="module")
def interpreted():
    with process(TRITON_INTERPRET="1", EFFCC_TRITON="1") as call:
        yield call


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    cache = tmp_path_factory.mktemp("triton")
    with process(TRITON_CACHE_DIR=str(cache)) as call:
        yield call


@pytest.mark.parametrize(("kernel", "stride", "padding"), FORMS)
def test_values_and_gradients_are_the_definition(interpreted, kernel, stride, padding):
    interpreted(agree, (1, 1), kernel, stride, padding)
    interpreted(agree, (3, 4), kernel, stride, padding)


def test_what_one_program_leaves_another_takes(interpreted):
    interpreted(agree_in_small_shares)


def test_images_and_gradients_may_lie_either_way(interpreted):
    interpreted(agree_channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_the_result_is_rounded(interpreted, dtype):
    interpreted(agree, (3, 2), 3, 1, "same", dtype)


def test_the_form_that_predicts_adds_the_shift_and_applies_silu(interpreted):
    interpreted(agree_with_a_shift)


def test_frozen_experts_cost_no_gradient(interpreted):
    names = ["effcc.depthwise.default", "effcc.depthwise_of_x.default"]
    assert interpreted(operators_of_a_step, False) == names
    assert interpreted(operators_of_a_step, True) == [*names, "effcc.depthwise_of_kernels.default"]


def test_second_derivatives_are_refused(interpreted):
    interpreted(differentiate_twice)


def test_torch_compile_takes_it_whole(interpreted):
    interpreted(trace)


def test_autocast_is_followed(interpreted):
    assert interpreted(dtype_under_autocast) == torch.bfloat16


def test_cuda_devices_take_it_only_if_asked(interpreted, monkeypatch):
    assert "effcc.depthwise.default" in interpreted(operators_on, "cuda")
    assert "effcc.depthwise.default" not in interpreted(operators_on, "cpu")
    monkeypatch.setattr(conditional, "TRITON", False)
    assert "aten.convolution.default" in operators_on("cuda")


def test_without_triton_one_line_says_what_to_install():
    words = "import sys; sys.modules['triton'] = None; from effcc.nn import depthwise_triton"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "effcc.ground.errors.UserError: EFFCC_TRITON=1 needs Triton: pip install triton"
    )


def test_tritons_compiler_takes_it(compiled):
    compiled(compile_for, 90, (14, 14), 3, 2, torch.bfloat16)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2)])
def test_tritons_compiler_takes_every_form(compiled, kernel, stride, capability):
    for size in ((1, 1), (14, 13)):
        for dtype in (torch.float32, torch.bfloat16):
            compiled(compile_for, capability, size, kernel, stride, dtype)


def problem(size, kernel, dtype=torch.float64, batch=2, channels=5):
    """Random images, weight and routing of three experts."""
    random = torch.Generator().manual_seed(sum(size) + kernel)
    shapes = (batch, channels, *size), (3, channels * kernel * kernel), (batch, 3)
    x, weight, routing = (
        torch.randn(shape, dtype=torch.float64, generator=random).to(dtype) for shape in shapes
    )
    return [tensor.requires_grad_() for tensor in (x, weight, routing)]


def depthwise(x, weight, routing, kernel, stride, padding, shift=None):
    from effcc.nn import depthwise_triton

    around = pads(x, kernel, stride, padding)
    return depthwise_triton.depthwise(
        x, weight, routing, kernel=kernel, stride=stride, pads=around, shift=shift
    )


def agree(size, kernel, stride, padding, dtype=torch.float64, batch=2, channels=5):
    """Values and gradients are those of the definition in float64, rounded to `dtype` once."""
    tensors = problem(size, kernel, dtype, batch, channels)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    found = depthwise(*tensors, kernel, stride, padding)
    how = {"kernel": kernel, "stride": stride, "groups": channels, "padding": padding}
    expected = condconv_loop(*exact, **how)
    assert found.dtype == dtype
    random = torch.Generator().manual_seed(1)
    direction = torch.randn(expected.shape, dtype=torch.float64, generator=random).to(dtype)
    pairs = zip(
        (found, *torch.autograd.grad(found, tensors, direction)),
        (expected, *torch.autograd.grad(expected, exact, direction.double())),
        strict=True,
    )
    rounding = torch.finfo(dtype).eps
    accumulating = 50 * torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    for ours, theirs in pairs:
        torch.testing.assert_close(
            ours.double(), theirs, rtol=rounding, atol=accumulating, check_stride=False
        )


def agree_channels_last():
    x, weight, routing = problem((2, 3), 3)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    results = []
    for images, slope in ((x, torch.ones(2, 5, 2, 3)), (last, torch.ones(1).expand(2, 5, 2, 3))):
        y = depthwise(images, weight, routing, 3, 1, "same")
        assert y.is_contiguous(memory_format=torch.channels_last)
        results.append([y, *torch.autograd.grad(y, (images, weight, routing), slope.double())])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


def agree_in_small_shares():
    """Several programs for a map's pixels, for the channels, and for the samples, unevenly."""
    from effcc.nn import depthwise_triton as module

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PIXELS": 4, "CHANNELS": 16, "MIXED": 16, "PROGRAMS": 3}.items():
            patch.setattr(module, name, value)
        agree((2, 3), 3, 1, "same", batch=3, channels=18)


def agree_with_a_shift():
    x, weight, routing = problem((3, 2), 3)
    shift = torch.linspace(-1, 1, 5, dtype=torch.float64)
    with torch.inference_mode():
        found = depthwise(x, weight, routing, 3, 1, "same", shift)
        how = {"kernel": 3, "stride": 1, "groups": 5, "padding": "same"}
        expected = F.silu(condconv_loop(x, weight, routing, **how) + shift[:, None, None])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="only predicts"):
        depthwise(x, weight, routing, 3, 1, "same", shift)


class Recorded(torch.utils._python_dispatch.TorchDispatchMode):
    """The names of the operators that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def operators_of_a_step(trained):
    x, weight, routing = problem((1, 2), 3)
    with Recorded() as seen:
        y = depthwise(x, *(t.requires_grad_(trained) for t in (weight, routing)), 3, 1, "same")
        y.sum().backward()
    return [name for name in seen.names if name.startswith("effcc")]


def differentiate_twice():
    tensors = problem((1, 2), 3)
    energy = depthwise(*tensors, 3, 1, "same").square().sum()
    (slope,) = torch.autograd.grad(energy, tensors[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        torch.autograd.grad(slope.square().sum(), tensors[1:2])


def trace():
    """One graph, forward and backward, for any batch, with the values of the untraced."""
    step = functools.partial(depthwise, kernel=3, stride=2, padding="same")
    traced = torch.compile(step, backend="aot_eager", fullgraph=True, dynamic=True)
    tensors = problem((3, 4), 3)
    pair = []
    for function in (step, traced):
        y = function(*tensors)
        pair.append([y, *torch.autograd.grad(y.square().sum(), tensors)])
    for ours, theirs in zip(*pair, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    _, taps, routing = (tensor.detach() for tensor in tensors)
    taps = taps.view(3, 5, 9).transpose(1, 2).requires_grad_()
    words = (tensors[0], taps, routing.requires_grad_(), None, 3, 1, [1, 1, 1, 1])
    torch.library.opcheck(torch.ops.effcc.depthwise.default, words)


def dtype_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        return depthwise(*problem((1, 2), 3, torch.float32), 3, 1, "same").dtype


def operators_on(device):
    """What `condconv` calls there, on tensors that have a shape and a device but no numbers."""
    with torch._subclasses.FakeTensorMode(), Recorded() as seen:
        x, weight, routing = (
            torch.empty(shape, device=device) for shape in ((2, 6, 5, 5), (4, 54), (2, 4))
        )
        how = {"kernel": 3, "stride": 2, "groups": 6, "padding": "same"}
        assert conditional.condconv(x, weight, routing, **how).shape == (2, 6, 3, 3)
    return seen.names


def compile_for(capability, size, kernel, stride, dtype):
    """Make machine code for a GPU of that compute capability of all that a step launches."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from effcc.nn import depthwise_triton, triton_kernels

    driver.set_active(
        SimpleNamespace(
            get_current_target=lambda: GPUTarget("cuda", capability, 32),
            get_current_device=lambda: capability,  # Triton keeps what it compiled by device
            get_current_stream=lambda device: 0,
        )
    )
    made = []

    class Compiled:
        def __init__(self, name):
            self.function = getattr(triton_kernels, name)

        def __getitem__(self, grid):
            def launch(*words, **options):
                made.append(self.function.run(*words, grid=grid, warmup=True, **options))

            return launch

    depthwise_triton.KERNELS = SimpleNamespace(
        convolve=Compiled("convolve"), correlate=Compiled("correlate")
    )
    x, weight, routing = problem(size, kernel, dtype)
    depthwise(x, weight, routing, kernel, stride, "same").sum().backward()
    with torch.inference_mode():
        depthwise(x, weight, routing, kernel, stride, "same", weight[0, :5])
    assert [kernel.metadata.target.arch for kernel in made] == [capability] * 4
    assert all(kernel.asm["cubin"] for kernel in made)
