/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1, for tests without a GPU.
 *
 * It reads the file that FAKE_NVML_SCRIPT names at every call, so a test may change what a running
 * process sees. One statement a line, memory in MiB:
 *
 *     device UUID TOTAL_MIB FREE_MIB UTILISATION NAME WITH SPACES
 *                                     a GPU; UTILISATION -1: not supported
 *     mig INDEX UUID TOTAL_MIB FREE_MIB NAME WITH SPACES
 *                                     an instance of the GPU at INDEX, which it divides
 *     divided INDEX                   MIG mode, also without an instance
 *     process WHICH PID MIB KIND      KIND: Compute, Graphics or MPSCompute; MIB -1: not told
 *     then WHICH READINGS FREE_MIB    free from the reading after so many by this process
 *     fail FUNCTION WHICH CODE FROM UNTIL
 *                                     calls FROM to UNTIL (from 0, UNTIL -1: for ever) of FUNCTION
 *                                     for that device by this process
 *     uses FOLDER                     a file PID with lines UUID MIB holds memory while PID lives
 *
 * WHICH is an index, a UUID, or -1 for whichever. A function is left out altogether when compiled
 * with -DNO_<function>.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUCCESS 0
#define INVALID_ARGUMENT 2
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define DRIVER_NOT_LOADED 9
#define MAX_DEVICES 64
#define MAX_PROCESSES 256
#define MAX_COUNTERS 256
#define NOT_TOLD 0xffffffffffffffffULL

typedef struct {
    char uuid[96], name[96];
    unsigned long long total, free;
    int index;  /* of the GPU, or of the one that the instance divides */
    int is_instance, is_divided, utilisation;
} device_t;

typedef struct {
    int device;  /* place in devices */
    unsigned int pid;
    long long mib;
    char kind[16];
} process_t;

static device_t devices[MAX_DEVICES];
static process_t processes[MAX_PROCESSES];
static int count, gpus, process_count;

/* Return how often this was asked before under NAME for device PLACE. */
static int counted(const char *name, int place)
{
    static struct {
        char name[96];
        int place, calls;
    } counters[MAX_COUNTERS];
    static int used;
    for (int i = 0; i < used; i++)
        if (counters[i].place == place && !strcmp(counters[i].name, name))
            return counters[i].calls++;
    if (used < MAX_COUNTERS) {
        snprintf(counters[used].name, sizeof counters[used].name, "%s", name);
        counters[used].place = place;
        counters[used++].calls = 1;
    }
    return 0;
}

static int names(const char *which, int place)
{
    if (!strcmp(which, "-1"))
        return 1;
    if (place < 0 || place >= count)
        return 0;
    if (!strcmp(which, devices[place].uuid))
        return 1;
    char *end;
    long index = strtol(which, &end, 10);
    return !*end && index == devices[place].index;
}

static void add_process(int place, unsigned int pid, long long mib, const char *kind)
{
    if (process_count == MAX_PROCESSES)
        return;
    process_t *process = &processes[process_count++];
    process->device = place;
    process->pid = pid;
    process->mib = mib;
    snprintf(process->kind, sizeof process->kind, "%s", kind);
}

/* Take what living processes say that they use from what is free. */
static void apply_uses(const char *folder)
{
    DIR *found = opendir(folder);
    struct dirent *entry;
    while (found && (entry = readdir(found))) {
        char path[1024], line[256], uuid[96], *end;
        long pid = strtol(entry->d_name, &end, 10);
        long long mib;
        if (*end || pid <= 0 || (kill((pid_t)pid, 0) && errno == ESRCH))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "r");
        while (file && fgets(line, sizeof line, file))
            for (int place = 0; place < count; place++)
                if (sscanf(line, "%95s %lld", uuid, &mib) == 2 &&
                    !strcmp(uuid, devices[place].uuid)) {
                    unsigned long long held = (unsigned long long)mib;
                    devices[place].free -= held < devices[place].free ? held : devices[place].free;
                    add_process(place, (unsigned int)pid, mib, "Compute");
                }
        if (file)
            fclose(file);
    }
    if (found)
        closedir(found);
}

static void read_line(const char *line)
{
    device_t read = {"", "", 0, 0, 0, 0, 0, -1};
    char which[96], kind[16];
    unsigned int pid;
    long long mib;
    if (count < MAX_DEVICES &&
        sscanf(line, "device %95s %llu %llu %d %95[^\n]", read.uuid, &read.total, &read.free,
               &read.utilisation, read.name) >= 4) {
        read.index = gpus++;
        devices[count++] = read;
    } else if (count < MAX_DEVICES &&
               sscanf(line, "mig %d %95s %llu %llu %95[^\n]", &read.index, read.uuid, &read.total,
                      &read.free, read.name) >= 4) {
        read.is_instance = 1;
        devices[count++] = read;
        for (int place = 0; place < count; place++)
            if (devices[place].index == read.index && !devices[place].is_instance)
                devices[place].is_divided = 1;
    } else if (sscanf(line, "divided %d", &read.index) == 1) {
        for (int place = 0; place < count; place++)
            if (devices[place].index == read.index && !devices[place].is_instance)
                devices[place].is_divided = 1;
    } else if (sscanf(line, "process %95s %u %lld %15s", which, &pid, &mib, kind) == 4) {
        for (int place = 0; place < count; place++)
            if (names(which, place))
                add_process(place, pid, mib, kind);
    } else if (!strncmp(line, "uses ", 5)) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s", line + 5);
        folder[strcspn(folder, "\n")] = 0;
        apply_uses(folder);
    }
}

/* Read the script; return the code that FUNCTION must answer for the device at PLACE (-1: none). */
static int ask(const char *function, int place)
{
    const char *path = getenv("FAKE_NVML_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[640], name[96], which[96];
    int code = SUCCESS, answer, from, until;
    if (!file)
        return DRIVER_NOT_LOADED;
    int calls = counted(function, place);
    count = gpus = process_count = 0;
    while (fgets(line, sizeof line, file))
        read_line(line);
    rewind(file);
    while (fgets(line, sizeof line, file)) {
        long long readings, free_mib;
        if (sscanf(line, "fail %95s %95s %d %d %d", name, which, &answer, &from, &until) == 5 &&
            !strcmp(name, function) && names(which, place) && calls >= from &&
            (until < 0 || calls <= until))
            code = answer;
        else if (place >= 0 && place < count && !strcmp(function, "nvmlDeviceGetMemoryInfo") &&
                 sscanf(line, "then %95s %lld %lld", which, &readings, &free_mib) == 3 &&
                 names(which, place) && calls >= readings)
            devices[place].free = (unsigned long long)free_mib;
    }
    fclose(file);
    if (code == SUCCESS && place >= count)
        return INVALID_ARGUMENT;
    return code;
}

/* A handle is a place in devices and one, so that none is NULL. */
static int place_of(void *handle)
{
    return (int)(intptr_t)handle - 1;
}

static void *handle_of(int place)
{
    return (void *)(intptr_t)(place + 1);
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
    *answer = (unsigned int)gpus;
    return code;
}
#endif

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle)
{
    int code = ask("nvmlDeviceGetCount", -1);
    for (int place = 0; place < count; place++)
        if (!devices[place].is_instance && devices[place].index == (int)index) {
            *handle = handle_of(place);
            return ask("nvmlDeviceGetHandleByIndex", place);
        }
    return code != SUCCESS ? code : INVALID_ARGUMENT;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    int code = ask("nvmlDeviceGetHandleByUUID", -1);
    if (code != SUCCESS)
        return code;
    for (int place = 0; place < count; place++)
        if (!strcmp(devices[place].uuid, uuid)) {
            *handle = handle_of(place);
            return SUCCESS;
        }
    return NOT_FOUND;
}

#ifndef NO_nvmlDeviceGetName
int nvmlDeviceGetName(void *handle, char *name, unsigned int length)
{
    int code = ask("nvmlDeviceGetName", place_of(handle));
    return code != SUCCESS ? code : copy(name, length, devices[place_of(handle)].name);
}
#endif

#ifndef NO_nvmlDeviceGetUUID
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int length)
{
    int code = ask("nvmlDeviceGetUUID", place_of(handle));
    return code != SUCCESS ? code : copy(uuid, length, devices[place_of(handle)].uuid);
}
#endif

typedef struct {
    unsigned long long total, free, used;
} memory_t;

#ifndef NO_nvmlDeviceGetMemoryInfo
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory)
{
    int code = ask("nvmlDeviceGetMemoryInfo", place_of(handle));
    if (code != SUCCESS)
        return code;
    const device_t *device = &devices[place_of(handle)];
    memory->total = device->total << 20;
    memory->free = device->free << 20;
    memory->used = memory->total - memory->free;
    return SUCCESS;
}
#endif

typedef struct {
    unsigned int gpu, memory;
} utilisation_t;

#ifndef NO_nvmlDeviceGetUtilizationRates
int nvmlDeviceGetUtilizationRates(void *handle, utilisation_t *answer)
{
    int code = ask("nvmlDeviceGetUtilizationRates", place_of(handle));
    if (code != SUCCESS)
        return code;
    const device_t *device = &devices[place_of(handle)];
    if (device->is_instance || device->utilisation < 0)
        return NOT_SUPPORTED;
    answer->gpu = (unsigned int)device->utilisation;
    answer->memory = 0;
    return SUCCESS;
}
#endif

typedef struct {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} process_info_t;

static int list_processes(const char *function, const char *kind, void *handle,
                          unsigned int *length, process_info_t *infos)
{
    int code = ask(function, place_of(handle));
    unsigned int found = 0, room = infos ? *length : 0;
    if (code != SUCCESS)
        return code;
    for (int i = 0; i < process_count; i++) {
        if (processes[i].device != place_of(handle) || strcmp(processes[i].kind, kind))
            continue;
        if (found < room) {
            infos[found].pid = processes[i].pid;
            infos[found].used = processes[i].mib < 0
                                    ? NOT_TOLD
                                    : (unsigned long long)processes[i].mib << 20;
            infos[found].gpu_instance = infos[found].compute_instance = 0xffffffffU;
        }
        found++;
    }
    *length = found;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

#ifndef NO_nvmlDeviceGetComputeRunningProcesses_v3
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *length,
                                            process_info_t *infos)
{
    return list_processes("nvmlDeviceGetComputeRunningProcesses", "Compute", handle, length, infos);
}
#endif

#ifndef NO_nvmlDeviceGetComputeRunningProcesses_v2
int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned int *length,
                                            process_info_t *infos)
{
    return list_processes("nvmlDeviceGetComputeRunningProcesses", "Compute", handle, length, infos);
}
#endif

#ifndef NO_nvmlDeviceGetGraphicsRunningProcesses_v3
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned int *length,
                                             process_info_t *infos)
{
    return list_processes("nvmlDeviceGetGraphicsRunningProcesses", "Graphics", handle, length,
                          infos);
}
#endif

#ifndef NO_nvmlDeviceGetMPSComputeRunningProcesses_v3
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *handle, unsigned int *length,
                                               process_info_t *infos)
{
    return list_processes("nvmlDeviceGetMPSComputeRunningProcesses", "MPSCompute", handle, length,
                          infos);
}
#endif

#ifndef NO_nvmlDeviceGetMigMode
int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending)
{
    int code = ask("nvmlDeviceGetMigMode", place_of(handle));
    if (code != SUCCESS)
        return code;
    *current = *pending = (unsigned int)devices[place_of(handle)].is_divided;
    return SUCCESS;
}
#endif

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *answer)
{
    int code = ask("nvmlDeviceGetMaxMigDeviceCount", place_of(handle));
    *answer = code == SUCCESS && devices[place_of(handle)].is_divided ? 7 : 0;
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **answer)
{
    int code = ask("nvmlDeviceGetMigDeviceHandleByIndex", place_of(handle));
    unsigned int seen = 0;
    if (code != SUCCESS)
        return code;
    for (int place = 0; place < count; place++)
        if (devices[place].is_instance && devices[place].index == devices[place_of(handle)].index &&
            seen++ == index) {
            *answer = handle_of(place);
            return SUCCESS;
        }
    return NOT_FOUND;
}
