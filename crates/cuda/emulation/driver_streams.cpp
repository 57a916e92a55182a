// The mock driver's streams, launches and events.
#include "driver.h"

#include <algorithm>

namespace mock {

Stream* stream_of(void* handle) {
  auto* stream = static_cast<Stream*>(handle);
  return known(state().streams, stream) ? stream : nullptr;
}

namespace {

int run(const emulation::Kernel& kernel, uint3 grid, uint3 block, const std::vector<std::vector<char>>& values,
        Device* device, int priority) {
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
  emulation::launch(kernel, grid, block, arguments.data());
  return SUCCESS;
}

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
  auto* function = static_cast<Function*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.functions, function) || !stream) return INVALID_HANDLE;
  if (function->module->device != current() || stream->device != current()) return INVALID_HANDLE;
  const emulation::Kernel& kernel = *function->kernel;
  const uint64_t threads = uint64_t{block_x} * block_y * block_z;
  const bool grid_fits = grid_x > 0 && grid_x <= 0x7fffffff && grid_y > 0 && grid_y <= 65535 && grid_z > 0 && grid_z <= 65535;
  if (!grid_fits || threads == 0 || threads > 1024 || extra || shared_bytes > 0) return INVALID_VALUE;
  if (threads > kernel.most_threads) return LAUNCH_OUT_OF_RESOURCES;
  std::vector<std::vector<char>> values;
  for (size_t i = 0; i < kernel.argument_bytes.size(); i++) {
    const char* from = static_cast<const char*>(arguments[i]);
    values.emplace_back(from, from + kernel.argument_bytes[i]);
  }
  Device* device = current();
  const uint3 grid = {grid_x, grid_y, grid_z}, block = {block_x, block_y, block_z};
  const int priority = stream->priority;
  return put(*stream, [=, &kernel] { return run(kernel, grid, block, values, device, priority); });
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
