/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1, for tests without a GPU.
 *
 * It reads the file that FAKE_NVML_SCRIPT names at every call, so a test may change what free
 * memory a running process sees. One statement a line, memory in MiB:
 *
 *     device UUID TOTAL_MIB FREE_MIB NAME WITH SPACES
 *     fail FUNCTION INDEX CODE        INDEX -1: always, else for that device only
 *
 * A function is left out altogether when compiled with -DNO_<function>.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define NOT_FOUND 6
#define DRIVER_NOT_LOADED 9
#define MAX_DEVICES 64

typedef struct {
    char uuid[96];
    unsigned long long total, free;
    char name[96];
} device_t;

static device_t devices[MAX_DEVICES];
static unsigned int count;

/* Read the script; return the code that FUNCTION must answer for device INDEX (-1: none). */
static int ask(const char *function, int index)
{
    const char *path = getenv("FAKE_NVML_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    int code = SUCCESS;
    if (!file)
        return DRIVER_NOT_LOADED;
    count = 0;
    while (fgets(line, sizeof line, file)) {
        device_t read = {"", 0, 0, ""};
        char name[96];
        int which, answer;
        if (count < MAX_DEVICES && sscanf(line, "device %95s %llu %llu %95[^\n]", read.uuid,
                                          &read.total, &read.free, read.name) >= 3)
            devices[count++] = read;
        else if (sscanf(line, "fail %95s %d %d", name, &which, &answer) == 3 &&
                 !strcmp(name, function) && (which == -1 || which == index))
            code = answer;
    }
    fclose(file);
    if (code == SUCCESS && index >= (int)count)
        return INVALID_ARGUMENT;
    return code;
}

/* A handle is the index and one, so that none is NULL. */
static int index_of(void *handle)
{
    return (int)(intptr_t)handle - 1;
}

static int copy(char *to, unsigned int length, const char *from)
{
    if (strlen(from) >= length)
        return INVALID_ARGUMENT;
    strcpy(to, from);
    return SUCCESS;
}

#ifndef NO_nvmlInitWithFlags
int nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    return ask("nvmlInit", -1);
}
#endif

int nvmlInit_v2(void)
{
    return ask("nvmlInit", -1);
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

#ifndef NO_nvmlErrorString
const char *nvmlErrorString(int code)
{
    (void)code;
    return "scripted failure";
}
#endif

#ifndef NO_nvmlDeviceGetCount_v2
int nvmlDeviceGetCount_v2(unsigned int *answer)
{
    int code = ask("nvmlDeviceGetCount", -1);
    *answer = count;
    return code;
}
#endif

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
    *handle = (void *)(intptr_t)(index + 1);
    return ask("nvmlDeviceGetHandleByIndex", (int)index);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    int code = ask("nvmlDeviceGetHandleByUUID", -1);
    if (code != SUCCESS)
        return code;
    for (unsigned int index = 0; index < count; index++)
        if (!strcmp(devices[index].uuid, uuid)) {
            *handle = (void *)(intptr_t)(index + 1);
            return SUCCESS;
        }
    return NOT_FOUND;
}

#ifndef NO_nvmlDeviceGetName
int nvmlDeviceGetName(void *handle, char *name, unsigned int length)
{
    int code = ask("nvmlDeviceGetName", index_of(handle));
    return code != SUCCESS ? code : copy(name, length, devices[index_of(handle)].name);
}
#endif

#ifndef NO_nvmlDeviceGetUUID
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int length)
{
    int code = ask("nvmlDeviceGetUUID", index_of(handle));
    return code != SUCCESS ? code : copy(uuid, length, devices[index_of(handle)].uuid);
}
#endif

typedef struct {
    unsigned long long total, free, used;
} memory_t;

#ifndef NO_nvmlDeviceGetMemoryInfo
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory)
{
    int code = ask("nvmlDeviceGetMemoryInfo", index_of(handle));
    if (code != SUCCESS)
        return code;
    const device_t *device = &devices[index_of(handle)];
    memory->total = device->total << 20;
    memory->free = device->free << 20;
    memory->used = memory->total - memory->free;
    return SUCCESS;
}
#endif
