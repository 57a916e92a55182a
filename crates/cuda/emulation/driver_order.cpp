// In which order the mock driver does what waits: of those in which a card may do it, one that shows what was not waited for.
#include "driver.h"

#include <algorithm>

namespace mock {
namespace {

using Lane = std::deque<Place>;

// After a failure nothing more is done.
void do_first(Lane& lane) {
  const Place first = lane.front();
  lane.pop_front();
  if (first->work && !state().sticky) state().sticky = first->work();
  first->done = true;
  first->work = {};
  first->after.clear();
}

bool is_ready(const Node& node) {
  return std::all_of(node.after.begin(), node.after.end(), [](const Place& before) { return before->done; });
}

// All that the other lanes can do by now.
void do_others(uint64_t own) {
  for (bool again = true; again;) {
    again = false;
    for (auto& [number, lane] : state().lanes)
      while (number != own && !lane.empty() && is_ready(*lane.front())) do_first(lane), again = true;
  }
}

// Nothing waits for what was put somewhere later, so this comes to an end.
void reach(const Place& place) {
  Lane& lane = state().lanes[place->lane];
  while (!place->done) {
    if (state().early) do_others(place->lane);
    const Place next = lane.front();
    for (const Place& before : next->after) reach(before);
    do_first(lane);
  }
}

}  // namespace

Place put(uint64_t lane, Work work, std::vector<Place> after) {
  Place node(new Node{lane, std::move(work), std::move(after)});
  state().lanes[lane].push_back(node);
  return node;
}

int put(Stream& stream, Work work, const std::vector<size_t>& after) {
  if (!stream.capture) return put(stream.lane, std::move(work)), SUCCESS;
  if (stream.capture->broken) return STREAM_CAPTURE_INVALIDATED;
  auto& steps = stream.capture->graph.steps;
  stream.ends.insert(stream.ends.end(), after.begin(), after.end());
  steps.push_back({stream.capture_lane, std::move(work), stream.ends});
  stream.ends = {steps.size() - 1};
  return SUCCESS;
}

int finish(const Place& place) {
  State& books = state();
  reach(place);
  for (auto lane = books.lanes.begin(); lane != books.lanes.end();)
    lane = lane->second.empty() ? books.lanes.erase(lane) : std::next(lane);
  return books.sticky;
}

int finish(Stream& stream) {
  const auto lane = state().lanes.find(stream.lane);
  return lane == state().lanes.end() || lane->second.empty() ? state().sticky : finish(Place(lane->second.back()));
}

int finish_all() {
  auto& lanes = state().lanes;
  while (!lanes.empty()) finish(Place(lanes.begin()->second.back()));
  return state().sticky;
}

}  // namespace mock
