/* A stand-in for libcuda.so.1 where there is no GPU: the kernel `add` runs on the host.
 *
 * Its devices are the files that STANDIN_CUDA_FILES names (joined by colons) and that this process may open: a character device of a driver
 * that is not there may be opened when open() finds no driver (ENXIO), and may not when somebody forbids it (EPERM, EACCES).
 * STANDIN_CUDA_UUIDS has their UUIDs. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_PTX = 218, NOT_FOUND = 500 };

static int count = -1;
static int found[64];

static int may_open(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0 || errno == ENXIO;
}

static const char *part(const char *text, int number, char *into, size_t size) {
    for (; text && number > 0; number--) text = (text = strchr(text, ':')) ? text + 1 : NULL;
    if (!text) return NULL;
    snprintf(into, size, "%.*s", (int)strcspn(text, ":"), text);
    return into;
}

int cuInit(unsigned flags) {
    char path[256];
    const char *files = getenv("STANDIN_CUDA_FILES"), *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (flags) return INVALID_VALUE;
    count = 0;
    for (int number = 0; files && *files && number < 64 && part(files, number, path, sizeof path); number++)
        if (may_open(path)) found[count++] = number;
    if (visible && !*visible) count = 0;
    return count ? SUCCESS : NO_DEVICE;
}

int cuDeviceGetCount(int *into) {
    if (count < 0) return NOT_INITIALIZED;
    *into = count;
    return SUCCESS;
}

int cuDeviceGetUuid(unsigned char *into, int device) {
    char text[64];
    if (device < 0 || device >= count || !part(getenv("STANDIN_CUDA_UUIDS"), found[device], text, sizeof text)) return INVALID_VALUE;
    const char *at = text + strlen("GPU-");
    for (int byte = 0; byte < 16; byte++) {
        if (*at == '-') at++;
        unsigned value;
        if (sscanf(at, "%2x", &value) != 1) return INVALID_VALUE;
        into[byte] = (unsigned char)value, at += 2;
    }
    return SUCCESS;
}

int cuDeviceGetName(char *into, int size, int device) {
    if (device < 0 || device >= count) return INVALID_VALUE;
    snprintf(into, (size_t)size, "stand-in");
    return SUCCESS;
}

int cuGetErrorName(int status, const char **into) {
    static const struct { int status; const char *name; } names[] = {
        {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"}, {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"}, {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
        {INVALID_PTX, "CUDA_ERROR_INVALID_PTX"}, {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    };
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (names[at].status == status) return *into = names[at].name, SUCCESS;
    return INVALID_VALUE;
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    if (device < 0 || device >= count) return INVALID_VALUE;
    *context = &found[device];
    return SUCCESS;
}

int cuCtxSetCurrent(void *context) { return context ? SUCCESS : INVALID_VALUE; }
int cuCtxSynchronize(void) { return SUCCESS; }

int cuModuleLoadData(void **module, const char *ptx) {
    if (!strstr(ptx, ".version") || !strstr(ptx, ".target sm_") || !strstr(ptx, ".address_size 64")) return INVALID_PTX;
    *module = (void *)ptx;
    return SUCCESS;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
    char entry[128];
    snprintf(entry, sizeof entry, ".visible .entry %s(", name);
    if (!strstr(module, entry) || strcmp(name, "add")) return NOT_FOUND;
    *function = module;
    return SUCCESS;
}

int cuMemAlloc_v2(uint64_t *place, size_t size) {
    *place = (uint64_t)(uintptr_t)malloc(size);
    return *place ? SUCCESS : 2;
}

int cuMemcpyHtoD_v2(uint64_t place, const void *from, size_t size) { return memcpy((void *)(uintptr_t)place, from, size), SUCCESS; }
int cuMemcpyDtoH_v2(void *into, uint64_t place, size_t size) { return memcpy(into, (void *)(uintptr_t)place, size), SUCCESS; }

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **parameters, void **extra) {
    if (!function || !gx || gy != 1 || gz != 1 || !bx || by != 1 || bz != 1 || shared || stream || extra) return INVALID_VALUE;
    const float *first = (float *)(uintptr_t)*(uint64_t *)parameters[0], *second = (float *)(uintptr_t)*(uint64_t *)parameters[1];
    float *sum = (float *)(uintptr_t)*(uint64_t *)parameters[2];
    uint32_t size = *(uint32_t *)parameters[3], rounds = *(uint32_t *)parameters[4];
    for (uint64_t at = 0; at < (uint64_t)gx * bx; at++)
        if (at < size && rounds) sum[at] = first[at] + second[at];
    if (rounds > 1000) usleep(1000);
    return SUCCESS;
}
