"""What a GPU runs for `depthwise_triton`, in Triton's language.

Images lie channels-last, kernels with their taps before their channels, so that what neighbouring
threads read adjoins. Nothing of what is mixed here is written to memory.
"""

from __future__ import annotations

from effcc.ground.errors import UserError

try:
    import triton
    import triton.language as tl
except ModuleNotFoundError:
    raise UserError("EFFCC_TRITON=1 needs Triton: pip install triton") from None


@triton.jit
def convolve(
    x,  # (batch, height, width, channels)
    taps,  # (experts, kernel * kernel, channels)
    routing,  # (batch, experts)
    shift,  # (channels,), or nothing: then no SiLU either
    y,  # (batch, out_height, out_width, channels)
    height,
    width,
    out_height,
    out_width,
    channels,
    STRIDE: tl.constexpr,
    LEFT: tl.constexpr,
    TOP: tl.constexpr,
    KERNEL: tl.constexpr,
    EXPERTS: tl.constexpr,
    REVERSE: tl.constexpr,  # x is the gradient of an output, y the gradient of its input
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Some pixels and channels of one sample, summed over taps."""
    REAL: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    blocks = tl.cdiv(channels, CHANNELS)
    tiles = tl.cdiv(out_height * out_width, PIXELS)
    program = tl.program_id(0)
    sample = (program // (blocks * tiles)).to(tl.int64)  # a batch may have more than 2**31 numbers
    pixel = program // blocks % tiles * PIXELS + tl.arange(0, PIXELS)
    channel = program % blocks * CHANNELS + tl.arange(0, CHANNELS)
    row, column = pixel // out_width, pixel % out_width
    held = channel < channels
    x += sample * height * width * channels
    y += sample * out_height * out_width * channels
    shares = ()
    for expert in tl.static_range(EXPERTS):
        share = tl.load(routing + sample * EXPERTS + expert).to(REAL)
        shares = shares + (share,)  # noqa: RUF005  (its compiler knows no star)
    total = tl.zeros((PIXELS, CHANNELS), REAL)
    # Unrolled in one direction only: in both, the registers do not suffice.
    for down in range(KERNEL):
        for right in tl.static_range(KERNEL):
            if REVERSE:  # which output read this pixel by this tap, if any
                above, before = row + TOP - down, column + LEFT - right
                there = (above % STRIDE == 0) & (before % STRIDE == 0)
                there = there & (above >= 0) & (before >= 0)
                above, before = above // STRIDE, before // STRIDE
            else:
                above, before = row * STRIDE - TOP + down, column * STRIDE - LEFT + right
                there = (above >= 0) & (before >= 0)
            there = there & (above < height) & (before < width)
            place = (above * width + before)[:, None] * channels + channel[None, :]
            value = tl.load(x + place, mask=there[:, None] & held[None, :], other=0)
            mixed = tl.zeros((CHANNELS,), REAL)
            for expert in tl.static_range(EXPERTS):
                place = ((expert * KERNEL + down) * KERNEL + right) * channels + channel
                mixed += shares[expert] * tl.load(taps + place, mask=held, other=0).to(REAL)
            total += value.to(REAL) * mixed[None, :]
    if shift is not None:
        total += tl.load(shift + channel, mask=held, other=0).to(REAL)[None, :]
        total = total / (1 + tl.exp(-total))
    place = pixel[:, None] * channels + channel[None, :]
    inside = (pixel < out_height * out_width)[:, None] & held[None, :]
    tl.store(y + place, total.to(y.dtype.element_ty), mask=inside)


@triton.jit
def correlate(
    x,  # (batch, height, width, channels)
    grad,  # (batch, out_height, out_width, channels)
    taps,  # (experts, kernel * kernel, channels)
    routing,  # (batch, experts)
    of_taps,  # (groups of samples, experts, kernel * kernel, channels)
    of_routing,  # (blocks of channels, batch, experts)
    batch,
    samples,
    height,
    width,
    out_height,
    out_width,
    channels,
    STRIDE: tl.constexpr,
    LEFT: tl.constexpr,
    TOP: tl.constexpr,
    KERNEL: tl.constexpr,
    EXPERTS: tl.constexpr,
    EXPERTS_PADDED: tl.constexpr,
    TAPS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """The gradient of some samples' mixed kernels for some channels, dealt to what made them."""
    REAL: tl.constexpr = of_taps.dtype.element_ty
    blocks = tl.cdiv(channels, CHANNELS)
    block = tl.program_id(0) % blocks
    group = (tl.program_id(0) // blocks).to(tl.int64)  # and with it every sample
    channel = block * CHANNELS + tl.arange(0, CHANNELS)
    tap, expert = tl.arange(0, TAPS), tl.arange(0, EXPERTS_PADDED)
    held, read, known = channel < channels, tap < KERNEL * KERNEL, expert < EXPERTS
    kernel = expert[:, None, None] * KERNEL * KERNEL + tap[None, :, None]
    kernel = kernel * channels + channel[None, None, :]
    inside = known[:, None, None] & read[None, :, None] & held[None, None, :]
    weight = tl.load(taps + kernel, mask=inside, other=0).to(REAL)
    total = tl.zeros((EXPERTS_PADDED, TAPS, CHANNELS), REAL)
    for sample in range(group * samples, tl.minimum(group * samples + samples, batch)):
        image = x + sample * height * width * channels
        slope = grad + sample * out_height * out_width * channels
        mixed = tl.zeros((TAPS, CHANNELS), REAL)
        for row in range(out_height):
            above = row * STRIDE - TOP + tap // KERNEL
            level = read & (above >= 0) & (above < height)
            for column in tl.range(out_width, loop_unroll_factor=2):
                before = column * STRIDE - LEFT + tap % KERNEL
                there = level & (before >= 0) & (before < width)
                place = (above * width + before)[:, None] * channels + channel[None, :]
                value = tl.load(image + place, mask=there[:, None] & held[None, :], other=0)
                place = (row * out_width + column) * channels + channel
                steep = tl.load(slope + place, mask=held, other=0)
                mixed += value.to(REAL) * steep.to(REAL)[None, :]
        share = tl.load(routing + sample * EXPERTS + expert, mask=known, other=0).to(REAL)
        total += share[:, None, None] * mixed[None]
        match = tl.sum(tl.sum(weight * mixed[None], 2), 1)
        tl.store(of_routing + (block * batch + sample) * EXPERTS + expert, match, mask=known)
    of_taps += group * EXPERTS * KERNEL * KERNEL * channels
    tl.store(of_taps + kernel, total, mask=inside)
