// The mock driver's streams, launches and events.
#include "driver.h"

#include <algorithm>

namespace mock {

Stream* stream_of(void* handle) {
  auto* stream = static_cast<Stream*>(handle);
  return known(state().streams, stream) ? stream : nullptr;
}

namespace {

int run(const emulation::Kernel& kernel, uint3 grid, uint3 block, unsigned shared_bytes,
        const std::vector<std::vector<char>>& values, Device* device, int priority) {
  std::vector<const void*> arguments;
  for (const auto& value : values) arguments.push_back(value.data());
  for (const auto& [pointer, alignment] : kernel.pointers(arguments.data()).values) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    const Memory* memory = memory_at(state().device_memory, address, 1);
    if (memory && memory->device == device && address % alignment == 0) continue;
    const bool found = memory && memory->device == device;
    std::fprintf(stderr, "mock CUDA: %s was given an address that is %s: %p\n", kernel.name,
                 found ? "not aligned as it needs it" : "not of the card", pointer);
    return found ? MISALIGNED_ADDRESS : ILLEGAL_ADDRESS;
  }
  state().launches++;
  state().launches_behind += priority == LEAST_PRIORITY;
  emulation::launch(kernel, grid, block, shared_bytes, arguments.data());
  return SUCCESS;
}

int launch(void* handle, uint3 grid, uint3 block, unsigned shared_bytes, void* stream_handle, void** arguments, void** extra) {
  State& books = state();
  auto* function = static_cast<Function*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.functions, function) || !stream) return INVALID_HANDLE;
  if (function->module->device != current() || stream->device != current()) return INVALID_HANDLE;
  const emulation::Kernel& kernel = *function->kernel;
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  const bool grid_fits = grid.x > 0 && grid.x <= 0x7fffffff && grid.y > 0 && grid.y <= 65535 && grid.z > 0 && grid.z <= 65535;
  if (!grid_fits || threads == 0 || threads > 1024 || extra) return INVALID_VALUE;
  if (shared_bytes > function->most_shared_bytes) return INVALID_VALUE;
  if (threads > kernel.most_threads) return LAUNCH_OUT_OF_RESOURCES;
  std::vector<std::vector<char>> values;
  for (size_t i = 0; i < kernel.argument_bytes.size(); i++) {
    const char* from = static_cast<const char*>(arguments[i]);
    values.emplace_back(from, from + kernel.argument_bytes[i]);
  }
  Device* device = current();
  const int priority = stream->priority;
  const int code = put(*stream, [=, &kernel] { return run(kernel, grid, block, shared_bytes, values, device, priority); });
  if (stream->capture && !code) stream->capture->graph.steps.back().kernel = true;
  return code;
}

// Why a kernel must not be there before the one in front of it has ended; null if it may.
const char* too_early(const Stream& stream, const Function& function) {
  if (compiled_for(function.module->image) < 90) return "it can't wait";
  if (!stream.capture) return "it is not recorded";
  if (stream.ends.size() != 1) return "more than one thing is in front of it";
  const Graph::Step& before = stream.capture->graph.steps[stream.ends[0]];
  return before.kernel && before.lane == stream.capture_lane ? nullptr : "no kernel of its stream is in front of it";
}

// CUlaunchAttribute and CUlaunchConfig.
struct LaunchAttribute {
  int id, unused, value, rest[15];
};
struct LaunchConfig {
  uint3 grid, block;
  unsigned shared_bytes;
  void* stream;
  const LaunchAttribute* attributes;
  unsigned attribute_count;
};
static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56, "as cuda.h has them");

}  // namespace
}  // namespace mock

using namespace mock;

API cuStreamCreateWithPriority(void** to, unsigned flags, int priority) {
  CALL();
  if (flags > 1) return INVALID_VALUE;
  auto* stream = new Stream{};
  stream->device = current();
  stream->lane = books.next_lane++;
  stream->priority = std::clamp(priority, GREATEST_PRIORITY, LEAST_PRIORITY);
  books.streams.insert(stream);
  *to = stream;
  return SUCCESS;
}

API cuStreamDestroy_v2(void* handle) {
  CALL(true, true);
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  leave_capture(*stream);
  finish(*stream);
  books.streams.erase(stream);
  delete stream;
  return SUCCESS;
}

API cuStreamSynchronize(void* handle) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  return stream->capture ? refuse(*stream, STREAM_CAPTURE_UNSUPPORTED) : finish(*stream);
}

API cuLaunchKernel(void* handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                   unsigned block_z, unsigned shared_bytes, void* stream_handle, void** arguments, void** extra) {
  CALL();
  return launch(handle, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes, stream_handle, arguments, extra);
}

API cuLaunchKernelEx(const LaunchConfig* config, void* handle, void** arguments, void** extra) {
  CALL();
  const LaunchAttribute* attribute = config->attributes;
  // The one that is known: the kernel is there before the one in front of it has ended.
  if (config->attribute_count != 1 || attribute->id != 6 || attribute->value != 1) return INVALID_VALUE;
  Stream* stream = stream_of(config->stream);
  if (!stream || !known(books.functions, static_cast<Function*>(handle))) return INVALID_HANDLE;
  if (const char* wrong = too_early(*stream, *static_cast<Function*>(handle))) {
    std::fprintf(stderr, "mock CUDA: %s is launched early, but %s\n", static_cast<Function*>(handle)->kernel->name, wrong);
    return INVALID_VALUE;
  }
  books.early_launches++;
  return launch(handle, config->grid, config->block, config->shared_bytes, config->stream, arguments, extra);
}

// ---- Events ----

API cuEventCreate(void** to, unsigned) {
  CALL();
  auto* event = new Event{current()};
  books.events.insert(event);
  *to = event;
  return SUCCESS;
}

API cuEventDestroy_v2(void* handle) {
  CALL(true, true);
  auto* event = static_cast<Event*>(handle);
  if (!known(books.events, event)) return INVALID_HANDLE;
  books.events.erase(event);
  delete event;
  return SUCCESS;
}

API cuEventRecord(void* handle, void* stream_handle) {
  CALL();
  auto* event = static_cast<Event*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.events, event) || !stream) return INVALID_HANDLE;
  if (stream->capture && stream->capture->broken) return STREAM_CAPTURE_INVALIDATED;
  event->capture = stream->capture;
  event->ends = stream->ends;
  event->place = stream->capture ? nullptr : put(stream->lane, {});
  return SUCCESS;
}

API cuEventSynchronize(void* handle) {
  CALL();
  auto* event = static_cast<Event*>(handle);
  if (!known(books.events, event)) return INVALID_HANDLE;
  if (event->capture) return event->capture->broken = true, CAPTURED_EVENT;
  return event->place ? finish(event->place) : SUCCESS;
}

// Waiting for an event of a recorded stream takes the waiting one into the recording.
API cuStreamWaitEvent(void* stream_handle, void* handle, unsigned) {
  CALL();
  auto* event = static_cast<Event*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.events, event) || !stream) return INVALID_HANDLE;
  if (event->capture) {
    Capture& capture = *event->capture;
    if (capture.ended) return stream->capture ? refuse(*stream, STREAM_CAPTURE_ISOLATION) : CAPTURED_EVENT;
    if (capture.broken) return STREAM_CAPTURE_INVALIDATED;
    if (stream->capture && stream->capture != event->capture)
      return capture.broken = true, refuse(*stream, STREAM_CAPTURE_MERGE);
    if (!stream->capture) {
      stream->capture = event->capture;
      stream->capture_lane = capture.graph.lanes++;
      capture.streams.push_back(stream);
    }
    return put(*stream, {}, event->ends);
  }
  if (!event->place) return SUCCESS;
  if (stream->capture) return refuse(*stream, STREAM_CAPTURE_ISOLATION);
  put(stream->lane, {}, {event->place});
  return SUCCESS;
}

API cuEventElapsedTime(float* milliseconds, void* first, void* second) {
  CALL();
  if (!known(books.events, static_cast<Event*>(first)) || !known(books.events, static_cast<Event*>(second)))
    return INVALID_HANDLE;
  // Of no use on a processor; not 0, so that nothing is divided by it.
  *milliseconds = 1.0f;
  return SUCCESS;
}
