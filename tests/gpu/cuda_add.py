"""Adds vectors on the first GPU that it may use, through CUDA's driver API: the one library that the driver itself brings.

    python3 cuda_add.py [--seconds S] [--megabytes M]

Prints one line of JSON: how many devices it sees, the first one's UUID and name, and how many sums were right. It holds M megabytes and
goes on adding for S seconds. Without a device it ends with 3 and says what CUDA said; without the library with 4. It needs no other module.
"""

import argparse
import ctypes
import json
import os
import random
import sys
import time
import uuid

PTX = b"""
.version 6.3
.target sm_70
.address_size 64

.visible .entry add(
    .param .u64 first,
    .param .u64 second,
    .param .u64 sum,
    .param .u32 count,
    .param .u32 rounds
)
{
    .reg .pred %p<3>;
    .reg .f32 %f<4>;
    .reg .b32 %r<8>;
    .reg .b64 %a<8>;

    ld.param.u64 %a1, [first];
    ld.param.u64 %a2, [second];
    ld.param.u64 %a3, [sum];
    ld.param.u32 %r1, [count];
    ld.param.u32 %r2, [rounds];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.s32 %r6, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r6, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %a1, %a1;
    cvta.to.global.u64 %a2, %a2;
    cvta.to.global.u64 %a3, %a3;
    mul.wide.u32 %a4, %r6, 4;
    add.s64 %a1, %a1, %a4;
    add.s64 %a2, %a2, %a4;
    add.s64 %a3, %a3, %a4;
AGAIN:
    ld.volatile.global.f32 %f1, [%a1];
    ld.volatile.global.f32 %f2, [%a2];
    add.f32 %f3, %f1, %f2;
    st.volatile.global.f32 [%a3], %f3;
    sub.u32 %r2, %r2, 1;
    setp.ne.u32 %p2, %r2, 0;
    @%p2 bra AGAIN;
DONE:
    ret;
}
"""

COUNT, THREADS, ROUNDS = 1 << 18, 256, 200
_POINTER = ctypes.c_uint64
NO_DEVICE = 3


class CudaError(Exception):
    pass


class Cuda:
    """libcuda.so.1; each call raises CudaError."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def __call__(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            raise CudaError(f"{function}: {self._name(status)}")

    def _name(self, status: int) -> str:
        text = ctypes.c_char_p()
        if self._library.cuGetErrorName(status, ctypes.byref(text)) or text.value is None:
            return str(status)
        return text.value.decode()


def devices(cuda: Cuda) -> int:
    cuda("cuInit", 0)
    count = ctypes.c_int()
    cuda("cuDeviceGetCount", ctypes.byref(count))
    return count.value


def described(cuda: Cuda, device: int) -> "tuple[str, str]":
    """UUID as nvidia-smi writes it, and name."""
    raw, name = (ctypes.c_char * 16)(), ctypes.create_string_buffer(100)
    cuda("cuDeviceGetUuid", raw, device)
    cuda("cuDeviceGetName", name, len(name), device)
    return f"GPU-{uuid.UUID(bytes=raw.raw)}", name.value.decode()


class Adder:
    """Two vectors on the device, and a third for their sums."""

    def __init__(self, cuda: Cuda, device: int) -> None:
        self._cuda = cuda
        context, module, self._kernel = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        cuda("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        cuda("cuCtxSetCurrent", context)
        cuda("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(PTX))
        cuda("cuModuleGetFunction", ctypes.byref(self._kernel), module, b"add")
        self._places = [self.held(4 * COUNT) for _ in range(3)]

    def held(self, size: int) -> _POINTER:
        place = _POINTER()
        self._cuda("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
        return place

    def right(self, seed: int) -> int:
        """How many of the sums were right; the numbers are small and whole, so that they are exact."""
        chance = random.Random(seed)
        first, second = ((ctypes.c_float * COUNT)() for _ in range(2))
        start, step = chance.randrange(1000), chance.randrange(1, 7)
        for at in range(COUNT):
            first[at], second[at] = start + at % 1000, step * (at % 512)
        size = ctypes.c_size_t(4 * COUNT)
        for place, values in zip(self._places, (first, second), strict=False):
            self._cuda("cuMemcpyHtoD_v2", place, values, size)
        self.launch()
        sums = (ctypes.c_float * COUNT)()
        self._cuda("cuMemcpyDtoH_v2", sums, self._places[2], size)
        return sum(total == one + other for total, one, other in zip(sums, first, second, strict=True))

    def launch(self, rounds: int = ROUNDS) -> None:
        values = [*self._places, ctypes.c_uint32(COUNT), ctypes.c_uint32(rounds)]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        blocks = (COUNT + THREADS - 1) // THREADS
        self._cuda("cuLaunchKernel", self._kernel, blocks, 1, 1, THREADS, 1, 1, 0, None, pointers, None)
        self._cuda("cuCtxSynchronize")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--megabytes", type=int, default=0)
    parser.add_argument("--pid-file", default="")
    arguments = parser.parse_args()
    try:
        cuda = Cuda()
    except OSError as error:
        print(error, file=sys.stderr)
        return 4
    try:
        count = devices(cuda)
        if not count:
            raise CudaError("no device")
    except CudaError as error:
        print(error, file=sys.stderr)
        return NO_DEVICE
    name, model = described(cuda, 0)
    adder = Adder(cuda, 0)
    if arguments.megabytes:
        adder.held(arguments.megabytes << 20)
    if arguments.pid_file:
        with open(arguments.pid_file + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(arguments.pid_file + ".new", arguments.pid_file)
    right = adder.right(os.getpid())
    began, ends, launches = time.time(), time.monotonic() + arguments.seconds, 0
    while time.monotonic() < ends:
        adder.launch(rounds=20 * ROUNDS)
        launches += 1
    times = {"launches": launches, "from": began, "to": time.time()}
    print(json.dumps({"devices": count, "uuid": name, "name": model, "right": right, "of": COUNT, **times}))
    return 0 if right == COUNT else 1


if __name__ == "__main__":
    sys.exit(main())
