// The mock driver's streams, events, launches and graphs.
#include "driver.h"

#include <algorithm>

namespace mock {

int finish(Stream& stream) {
  State& books = state();
  std::vector<Work> works;
  works.swap(stream.waiting);
  for (const Work& work : works) {
    if (books.sticky) break;
    books.sticky = work();
  }
  for (Event* event : books.events)
    if (event->stream == &stream) event->stream = nullptr;
  return books.sticky;
}

int finish_all() {
  for (Stream* stream : state().streams)
    if (!stream->capture) finish(*stream);
  return state().sticky;
}

bool capturing_here() {
  const auto recorded = [](Stream* stream) {
    return stream->capture && stream->capturing_thread == std::this_thread::get_id();
  };
  return std::any_of(state().streams.begin(), state().streams.end(), recorded);
}

namespace {

Stream* stream_of(void* handle) {
  auto* stream = static_cast<Stream*>(handle);
  return known(state().streams, stream) ? stream : nullptr;
}

// Waiting for a stream that is recorded breaks the recording.
int refuse(Stream& stream) {
  stream.capture_broken = true;
  return STREAM_CAPTURE_UNSUPPORTED;
}

int run(const emulation::Kernel& kernel, uint3 grid, uint3 block, const std::vector<std::vector<char>>& values,
        Device* device) {
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
  emulation::launch(kernel, grid, block, arguments.data());
  return SUCCESS;
}

}  // namespace
}  // namespace mock

using namespace mock;

API cuStreamCreate(void** to, unsigned flags) {
  CALL();
  if (flags > 1) return INVALID_VALUE;
  auto* stream = new Stream{};
  stream->device = current();
  books.streams.insert(stream);
  *to = stream;
  return SUCCESS;
}

API cuStreamDestroy_v2(void* handle) {
  CALL(true, true);
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (stream->capture) {
    books.graphs.erase(stream->capture);
    delete stream->capture;
  }
  finish(*stream);
  books.streams.erase(stream);
  delete stream;
  return SUCCESS;
}

API cuStreamSynchronize(void* handle) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  return stream->capture ? refuse(*stream) : finish(*stream);
}

API cuStreamQuery(void* handle) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  return stream->capture ? refuse(*stream) : finish(*stream);
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
  Work work = [&kernel, grid, block, values, device] { return run(kernel, grid, block, values, device); };
  (stream->capture ? stream->capture->works : stream->waiting).push_back(std::move(work));
  return SUCCESS;
}

// ---- Events ----

API cuEventCreate(void** to, unsigned) {
  CALL();
  auto* event = new Event{current(), nullptr};
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
  event->stream = stream;
  return SUCCESS;
}

API cuEventSynchronize(void* handle) {
  CALL();
  auto* event = static_cast<Event*>(handle);
  if (!known(books.events, event)) return INVALID_HANDLE;
  if (!event->stream) return SUCCESS;
  if (!known(books.streams, event->stream)) return event->stream = nullptr, SUCCESS;
  return event->stream->capture ? refuse(*event->stream) : finish(*event->stream);
}

API cuStreamWaitEvent(void* stream_handle, void* handle, unsigned) {
  CALL();
  auto* event = static_cast<Event*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.events, event) || !stream) return INVALID_HANDLE;
  if (stream->capture) return STREAM_CAPTURE_UNSUPPORTED;
  return event->stream && known(books.streams, event->stream) ? finish(*event->stream) : SUCCESS;
}

API cuEventElapsedTime(float* milliseconds, void* first, void* second) {
  CALL();
  if (!known(books.events, static_cast<Event*>(first)) || !known(books.events, static_cast<Event*>(second)))
    return INVALID_HANDLE;
  // Of no use on a processor; not 0, so that nothing is divided by it.
  *milliseconds = 1.0f;
  return SUCCESS;
}

// ---- Graphs ----

API cuStreamBeginCapture_v2(void* handle, int mode) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream || mode < 0 || mode > 2) return INVALID_VALUE;
  if (stream->capture) return ILLEGAL_STATE;
  stream->capture = new Graph{};
  books.graphs.insert(stream->capture);
  stream->capture_broken = false;
  stream->capturing_thread = std::this_thread::get_id();
  return SUCCESS;
}

API cuStreamEndCapture(void* handle, void** to) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream || !stream->capture) return ILLEGAL_STATE;
  Graph* graph = stream->capture;
  stream->capture = nullptr;
  if (stream->capture_broken) {
    books.graphs.erase(graph);
    delete graph;
    *to = nullptr;
    return STREAM_CAPTURE_INVALIDATED;
  }
  *to = graph;
  return SUCCESS;
}

API cuStreamIsCapturing(void* handle, int* to) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *to = stream->capture ? 1 : 0;
  return SUCCESS;
}

API cuGraphInstantiateWithFlags(void** to, void* handle, uint64_t) {
  CALL();
  auto* graph = static_cast<Graph*>(handle);
  if (!known(books.graphs, graph)) return INVALID_VALUE;
  auto* ready = new Graph(*graph);
  books.graph_execs.insert(ready);
  *to = ready;
  return SUCCESS;
}

API cuGraphDestroy(void* handle) {
  CALL(true, true);
  auto* graph = static_cast<Graph*>(handle);
  if (!known(books.graphs, graph)) return INVALID_VALUE;
  books.graphs.erase(graph);
  delete graph;
  return SUCCESS;
}

API cuGraphExecDestroy(void* handle) {
  CALL(true, true);
  auto* graph = static_cast<Graph*>(handle);
  if (!known(books.graph_execs, graph)) return INVALID_VALUE;
  // What waits in a stream has copies of all.
  books.graph_execs.erase(graph);
  delete graph;
  return SUCCESS;
}

API cuGraphLaunch(void* handle, void* stream_handle) {
  CALL();
  auto* graph = static_cast<Graph*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.graph_execs, graph) || !stream) return INVALID_HANDLE;
  if (stream->capture) return refuse(*stream);
  books.graph_launches++;
  stream->waiting.insert(stream->waiting.end(), graph->works.begin(), graph->works.end());
  return SUCCESS;
}
