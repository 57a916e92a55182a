// The mock driver's captures and graphs.
#include "driver.h"

#include <algorithm>

namespace mock {

int refuse(Stream& stream, int code) {
  stream.capture->broken = true;
  return code;
}

bool capturing_here() {
  const auto recorded = [](Stream* stream) {
    return stream->capture && stream->capture->thread == std::this_thread::get_id();
  };
  return std::any_of(state().streams.begin(), state().streams.end(), recorded);
}

namespace {

// All streams that took part go on as before.
void end(Capture& capture) {
  capture.ended = true;
  for (Stream* stream : std::vector<Stream*>(std::move(capture.streams))) {
    stream->ends.clear();
    stream->capture.reset();
  }
}

// Whether the stream that began has waited for all that the others did.
bool is_joined(const Capture& capture) {
  std::vector<bool> reached(capture.graph.steps.size());
  for (size_t step : capture.streams[0]->ends) reached[step] = true;
  for (size_t step = reached.size(); step-- > 0;)
    if (reached[step])
      for (size_t before : capture.graph.steps[step].after) reached[before] = true;
  const auto joined = [&](Stream* stream) {
    return std::all_of(stream->ends.begin(), stream->ends.end(), [&](size_t step) { return reached[step]; });
  };
  return std::all_of(capture.streams.begin(), capture.streams.end(), joined);
}

}  // namespace

void leave_capture(Stream& stream) {
  const std::shared_ptr<Capture> capture = stream.capture;
  if (!capture) return;
  capture->broken = true;
  if (capture->streams[0] == &stream) return end(*capture);
  capture->streams.erase(std::find(capture->streams.begin(), capture->streams.end(), &stream));
  stream.capture.reset();
}

}  // namespace mock

using namespace mock;

API cuStreamBeginCapture_v2(void* handle, int mode) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream || mode < 0 || mode > 2) return INVALID_VALUE;
  if (stream->capture) return ILLEGAL_STATE;
  stream->capture = std::make_shared<Capture>();
  stream->capture->streams = {stream};
  stream->capture->thread = std::this_thread::get_id();
  stream->capture_lane = 0;
  return SUCCESS;
}

API cuStreamEndCapture(void* handle, void** to) {
  CALL();
  Stream* stream = stream_of(handle);
  if (!stream || !stream->capture) return ILLEGAL_STATE;
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture->streams[0] != stream) return refuse(*stream, STREAM_CAPTURE_UNMATCHED);
  const int code = capture->broken ? STREAM_CAPTURE_INVALIDATED : is_joined(*capture) ? SUCCESS : STREAM_CAPTURE_UNJOINED;
  end(*capture);
  *to = nullptr;
  if (code) return code;
  auto* graph = new Graph(std::move(capture->graph));
  books.graphs.insert(graph);
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

API cuGraphInstantiateWithFlags(void** to, void* handle, uint64_t flags) {
  CALL();
  auto* graph = static_cast<Graph*>(handle);
  // The one flag that is known: kernels have their stream's priority.
  if (!known(books.graphs, graph) || (flags & ~uint64_t{8})) return INVALID_VALUE;
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

// All branches come behind what the stream has, and before what it is given later.
API cuGraphLaunch(void* handle, void* stream_handle) {
  CALL();
  auto* graph = static_cast<Graph*>(handle);
  Stream* stream = stream_of(stream_handle);
  if (!known(books.graph_execs, graph) || !stream) return INVALID_HANDLE;
  if (stream->capture) return refuse(*stream, STREAM_CAPTURE_UNSUPPORTED);
  books.graph_launches++;
  const Place begin = put(stream->lane, {});
  std::vector<uint64_t> lanes = {stream->lane};
  while (lanes.size() < graph->lanes) lanes.push_back(books.next_lane++);
  std::vector<Place> steps, last(lanes.size());
  for (const Graph::Step& step : graph->steps) {
    std::vector<Place> after;
    for (size_t before : step.after) after.push_back(steps[before]);
    if (!last[step.lane]) after.push_back(begin);
    steps.push_back(last[step.lane] = put(lanes[step.lane], step.work, after));
  }
  last.erase(std::remove(last.begin(), last.end(), nullptr), last.end());
  put(stream->lane, {}, last);
  return SUCCESS;
}
