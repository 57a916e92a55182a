// The mock driver's books, cards and contexts.
#include "driver.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace mock {

long long number_from(const char* variable, long long otherwise) {
  const char* text = std::getenv(variable);
  return text && *text ? std::strtoll(text, nullptr, 10) : otherwise;
}

size_t card_bytes() { return number_from("MOCK_CUDA_MEMORY", 8LL << 30); }

int driver_version() { return static_cast<int>(number_from("MOCK_CUDA_DRIVER_VERSION", 13000)); }

Capability capability() {
  Capability own = {9, 0};
  if (const char* text = std::getenv("MOCK_CUDA_CAPABILITY")) std::sscanf(text, "%d.%d", &own.major, &own.minor);
  return own;
}

State& state() {
  // Never destroyed: threads may call to the very end.
  static State& all = *new State();
  return all;
}

Device*& current() {
  static thread_local Device* device = nullptr;
  return device;
}

int begin(bool needs_context, bool releases) {
  State& books = state();
  books.calls++;
  if (books.calls == books.fail_at) {
    books.failures++;
    books.excused += releases;
    return books.fail_code;
  }
  if (!books.initialized) return NOT_INITIALIZED;
  if (needs_context && !current()) return INVALID_CONTEXT;
  if (needs_context && current()->retained == 0) return INVALID_CONTEXT;
  return releases ? SUCCESS : books.sticky;
}

size_t leaks() {
  const State& books = state();
  size_t contexts = 0;
  for (const auto& device : books.devices) contexts += device->retained;
  return books.device_memory.size() + books.host_memory.size() + books.streams.size() + books.events.size() +
         books.modules.size() + books.graphs.size() + books.graph_execs.size() + contexts;
}

std::string report() {
  const State& books = state();
  size_t bytes = 0, host_bytes = 0, contexts = 0;
  for (const auto& [address, memory] : books.device_memory) bytes += memory.bytes;
  for (const auto& [address, memory] : books.host_memory) host_bytes += memory.bytes;
  for (const auto& device : books.devices) contexts += device->retained;
  std::ostringstream to;
  to << "{\"calls\":" << books.calls << ",\"launches\":" << books.launches << ",\"launchesBehind\":" << books.launches_behind
     << ",\"earlyLaunches\":" << books.early_launches << ",\"graphLaunches\":" << books.graph_launches
     << ",\"failures\":" << books.failures << ",\"mostBytes\":" << books.most_bytes << ",\"excused\":" << books.excused
     << ",\"compiledModules\":" << books.compiled_modules
     << ",\"left\":{\"deviceBytes\":" << bytes << ",\"deviceMemory\":" << books.device_memory.size()
     << ",\"hostBytes\":" << host_bytes << ",\"hostMemory\":" << books.host_memory.size() << ",\"streams\":" << books.streams.size()
     << ",\"events\":" << books.events.size() << ",\"modules\":" << books.modules.size()
     << ",\"graphs\":" << books.graphs.size() << ",\"graphExecs\":" << books.graph_execs.size()
     << ",\"contexts\":" << contexts << "}}";
  return to.str();
}

namespace {

// At the end of the process, after all that the program itself does there.
struct AtEnd {
  ~AtEnd() {
    const char* path = std::getenv("MOCK_CUDA_REPORT");
    if (!path || !*path) return;
    if (FILE* file = std::fopen(path, "a")) {
      std::fprintf(file, "%s\n", report().c_str());
      std::fclose(file);
    }
  }
} at_end;

// A multiprocessor's, by NVIDIA's table of compute capabilities.
int shared_kilobytes() {
  const auto [major, minor] = capability();
  if (major == 8) return minor == 0 || minor == 7 ? 164 : 100;
  return major == 12 ? 100 : 228;
}

Device* device_at(int index) {
  State& books = state();
  return index >= 0 && index < static_cast<int>(books.devices.size()) ? books.devices[index].get() : nullptr;
}

}  // namespace
}  // namespace mock

using namespace mock;

// ---- For tests: the same as the environment variables, while the library is open ----

API mockCudaFailAt(uint64_t call, int code) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  state().fail_at = call ? state().calls + call : 0;
  state().fail_code = code;
  return SUCCESS;
}
API mockCudaEarly(int on) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  const int before = state().early;
  state().early = on;
  return before;
}
API mockCudaReversed(int on) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  const int before = emulation::reversed;
  emulation::reversed = on;
  return before;
}
extern "C" __attribute__((visibility("default"))) uint64_t mockCudaCalls() { return state().calls; }
extern "C" __attribute__((visibility("default"))) uint64_t mockCudaLeaks() {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  return leaks();
}
API mockCudaReport(char* to, size_t bytes) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  std::snprintf(to, bytes, "%s", report().c_str());
  return SUCCESS;
}

// ---- The driver ----

API cuInit(unsigned flags) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  State& books = state();
  if (books.calls == 0 && books.fail_at == 0) {
    books.fail_at = number_from("MOCK_CUDA_FAIL_AT", 0);
    books.fail_code = static_cast<int>(number_from("MOCK_CUDA_FAIL_CODE", UNKNOWN));
    emulation::reversed = number_from("MOCK_CUDA_REVERSED", 0) != 0;
    const char* order = std::getenv("MOCK_CUDA_ORDER");
    books.early = order && std::string(order) == "early";
  }
  const int code = begin(false);
  if (code && code != NOT_INITIALIZED) return code;
  if (flags) return INVALID_VALUE;
  if (!books.initialized) {
    const int count = static_cast<int>(number_from("MOCK_CUDA_DEVICES", 1));
    for (int index = 0; index < count; index++) {
      books.devices.push_back(std::make_unique<Device>());
      books.devices.back()->index = index;
    }
  }
  if (books.devices.empty()) return NO_DEVICE;
  books.initialized = true;
  return SUCCESS;
}

API cuDriverGetVersion(int* to) {
  std::lock_guard<std::recursive_mutex> guard(state().lock);
  // The only one that may be called before cuInit.
  const int code = begin(false);
  if (code && code != NOT_INITIALIZED) return code;
  *to = driver_version();
  return SUCCESS;
}

static const std::pair<int, std::pair<const char*, const char*>> ERRORS[] = {
    {SUCCESS, {"CUDA_SUCCESS", "no error"}},
    {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {NOT_INITIALIZED, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
    {NO_DEVICE, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
    {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
    {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
    {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {NO_BINARY_FOR_GPU, {"CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"}},
    {UNSUPPORTED_PTX_VERSION,
     {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."}},
    {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {LAUNCH_OUT_OF_RESOURCES, {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"}},
    {MISALIGNED_ADDRESS, {"CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"}},
    {STREAM_CAPTURE_UNSUPPORTED,
     {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
    {STREAM_CAPTURE_INVALIDATED,
     {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}},
    {STREAM_CAPTURE_MERGE, {"CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"}},
    {STREAM_CAPTURE_UNMATCHED, {"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"}},
    {STREAM_CAPTURE_UNJOINED, {"CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"}},
    {STREAM_CAPTURE_ISOLATION,
     {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"}},
    {CAPTURED_EVENT, {"CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"}},
    {UNKNOWN, {"CUDA_ERROR_UNKNOWN", "unknown error"}},
};

// Both describe other calls' failures, so they are not counted and never fail by order.
API cuGetErrorName(int code, const char** to) {
  for (const auto& [known, texts] : ERRORS)
    if (known == code) return *to = texts.first, SUCCESS;
  return *to = nullptr, INVALID_VALUE;
}
API cuGetErrorString(int code, const char** to) {
  for (const auto& [known, texts] : ERRORS)
    if (known == code) return *to = texts.second, SUCCESS;
  return *to = nullptr, INVALID_VALUE;
}

API cuDeviceGetCount(int* to) {
  CALL(false);
  *to = static_cast<int>(books.devices.size());
  return SUCCESS;
}

API cuDeviceGet(int* to, int index) {
  CALL(false);
  if (!device_at(index)) return INVALID_DEVICE;
  *to = index;
  return SUCCESS;
}

API cuDeviceGetName(char* to, int bytes, int device) {
  CALL(false);
  if (!device_at(device) || bytes < 1) return INVALID_DEVICE;
  std::snprintf(to, bytes, "Mock card %d", device);
  return SUCCESS;
}

API cuDeviceTotalMem_v2(size_t* to, int device) {
  CALL(false);
  if (!device_at(device)) return INVALID_DEVICE;
  *to = card_bytes();
  return SUCCESS;
}

API cuDeviceGetAttribute(int* to, int attribute, int device) {
  CALL(false);
  if (!device_at(device)) return INVALID_DEVICE;
  switch (attribute) {
    case 10: *to = 32; return SUCCESS;            // WARP_SIZE
    case 13: *to = 1'980'000; return SUCCESS;     // CLOCK_RATE, kHz
    case 16: *to = static_cast<int>(number_from("MOCK_CUDA_MULTIPROCESSORS", 4)); return SUCCESS;
    case 36: *to = 2'619'000; return SUCCESS;     // MEMORY_CLOCK_RATE, kHz
    case 37: *to = 5120; return SUCCESS;          // GLOBAL_MEMORY_BUS_WIDTH, bits
    case 38: *to = 50 << 20; return SUCCESS;      // L2_CACHE_SIZE
    case 75: *to = capability().major; return SUCCESS;
    case 76: *to = capability().minor; return SUCCESS;
    case 81: *to = shared_kilobytes() << 10; return SUCCESS;  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    default: return INVALID_VALUE;
  }
}

// ---- Contexts: a card's primary one ----

API cuDevicePrimaryCtxRetain(void** to, int device) {
  CALL(false);
  Device* own = device_at(device);
  if (!own) return INVALID_DEVICE;
  own->retained++;
  *to = own;
  return SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(int device) {
  CALL(false, true);
  Device* own = device_at(device);
  if (!own) return INVALID_DEVICE;
  if (own->retained == 0) return INVALID_CONTEXT;
  own->retained--;
  return SUCCESS;
}

API cuCtxSetCurrent(void* context) {
  CALL(false, true);
  bool found = !context;
  for (const auto& device : books.devices) found |= device.get() == context;
  if (!found) return INVALID_CONTEXT;
  current() = static_cast<Device*>(context);
  return SUCCESS;
}

API cuCtxGetCurrent(void** to) {
  CALL(false);
  *to = current();
  return SUCCESS;
}

API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  CALL();
  *least = LEAST_PRIORITY;
  *greatest = GREATEST_PRIORITY;
  return SUCCESS;
}

API cuCtxSynchronize() {
  CALL();
  if (capturing_here()) return STREAM_CAPTURE_UNSUPPORTED;
  return finish_all();
}

API cuMemGetInfo_v2(size_t* free, size_t* total) {
  CALL();
  *total = card_bytes();
  *free = card_bytes() - current()->used;
  return SUCCESS;
}
