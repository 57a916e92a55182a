// What the parts of the mock driver share: its books. A stand-in for libcuda on the processor: a library with the driver's
// functions, in which kernels are those of the emulation. Work in streams is put off until somebody waits for it, as far as a real
// card may put it off, so that what is changed or freed too early shows.
//
// Environment variables:
//   MOCK_CUDA_FAIL_AT=N            the N-th call (from 1) does nothing and fails
//   MOCK_CUDA_FAIL_CODE=C          with this code; 999 (unknown) without
//   MOCK_CUDA_DRIVER_VERSION=V     13000 is CUDA 13.0; the default
//   MOCK_CUDA_DEVICES=N            1
//   MOCK_CUDA_CAPABILITY=MAJOR.MINOR   9.0
//   MOCK_CUDA_COMPILED=1           takes machine code that is for the capability, and not only PTX
//   MOCK_CUDA_MULTIPROCESSORS=N    4: small grids, for a processor
//   MOCK_CUDA_MEMORY=BYTES         of each card; 8 GiB
//   MOCK_CUDA_REVERSED=1           threads and blocks run from the last to the first
//   MOCK_CUDA_ORDER=early|late     when other streams' work is done than the one's that is waited for, and a graph's other
//                                  branches than the first: as early as events let it, or as late, the default
//   MOCK_CUDA_REPORT=FILE          at the end of the process a line of JSON is added to this file
#pragma once
#include "cuda_emulation.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

namespace mock {

// CUresult.
enum Code {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  DEINITIALIZED = 4,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  UNSUPPORTED_PTX_VERSION = 222,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  MISALIGNED_ADDRESS = 716,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_INVALIDATED = 901,
  STREAM_CAPTURE_MERGE = 902,
  STREAM_CAPTURE_UNMATCHED = 903,
  STREAM_CAPTURE_UNJOINED = 904,
  STREAM_CAPTURE_ISOLATION = 905,
  CAPTURED_EVENT = 907,
  ILLEGAL_STATE = 401,
  UNKNOWN = 999,
};

struct Device {
  int index;
  int retained = 0;
  size_t used = 0;
};

// A piece of memory, of a card or locked of the machine. Nothing can be reached before or behind it.
struct Memory {
  char* mapping;
  size_t mapping_bytes;
  size_t bytes;
  Device* device;
};

// A piece of work. Gives a code; what is not 0 stays with the context, as on a card.
using Work = std::function<int()>;

// Work in its place, or (without any) a place that can be waited for. What is in one lane is done one after the other.
struct Node {
  uint64_t lane;
  Work work;
  std::vector<std::shared_ptr<Node>> after;  // of other lanes
  bool done = false;
};
using Place = std::shared_ptr<Node>;

// Recorded work, in an order in which it can be done; lane 0 is that of the stream that was recorded, others are those of streams
// that waited for it meanwhile.
struct Graph {
  struct Step {
    size_t lane;
    Work work;
    std::vector<size_t> after;
    bool kernel = false;
  };
  std::vector<Step> steps;
  size_t lanes = 1;
};

struct Stream;

struct Capture {
  Graph graph;
  std::vector<Stream*> streams;  // the first began it
  std::thread::id thread;
  bool broken = false, ended = false;
};

struct Stream {
  Device* device;
  uint64_t lane;
  int priority = 0;
  // While it is recorded: where, and the steps behind which its next one comes.
  std::shared_ptr<Capture> capture;
  size_t capture_lane = 0;
  std::vector<size_t> ends;
};

struct Event {
  Device* device;
  // Where it was recorded: in a stream, or in a capture behind these steps.
  Place place;
  std::shared_ptr<Capture> capture;
  std::vector<size_t> ends;
};

struct Module {
  Device* device;
  std::string image;
};

struct Function {
  Module* module;
  const emulation::Kernel* kernel;
  // Dynamic shared memory that a launch may give; more has to be asked for.
  unsigned most_shared_bytes = 48 << 10;
};

// Streams' priorities: as far as the mock is concerned a matter of counting.
constexpr int LEAST_PRIORITY = 0, GREATEST_PRIORITY = -5;

struct State {
  std::recursive_mutex lock;
  bool initialized = false;
  std::vector<std::unique_ptr<Device>> devices;
  // By address.
  std::map<uintptr_t, Memory> device_memory, host_memory;
  std::set<Stream*> streams;
  std::set<Event*> events;
  std::set<Module*> modules;
  std::set<Function*> functions;
  std::set<Graph*> graphs, graph_execs;
  // What waits, by lane: a stream's, or a launched graph's other branch.
  std::map<uint64_t, std::deque<Place>> lanes;
  uint64_t next_lane = 1;
  bool early = false;
  uint64_t calls = 0, launches = 0, launches_behind = 0, early_launches = 0, graph_launches = 0, failures = 0, most_bytes = 0, compiled_modules = 0;
  uint64_t fail_at = 0;
  int fail_code = UNKNOWN;
  // An error of work that was done; every later call gives it.
  int sticky = SUCCESS;
  // Things that could not be released, because their release was made to fail.
  uint64_t excused = 0;
};

State& state();
// The card whose context is current in this thread.
Device*& current();

// A call's beginning: counts it, and says whether it may go on. `releases`: it frees something.
int begin(bool needs_context = true, bool releases = false);

// The piece of memory that holds an address, or null.
const Memory* memory_at(const std::map<uintptr_t, Memory>& all, uintptr_t address, size_t bytes);
// At the lane's end, behind these of other lanes.
Place put(uint64_t lane, Work work, std::vector<Place> after = {});
// At the stream's end, or into what is recorded of it, there also behind these steps.
int put(Stream& stream, Work work, const std::vector<size_t>& after = {});
// Does what the place needs, and the place's own work.
int finish(const Place& place);
// Does all that waits.
int finish(Stream& stream);
int finish_all();
Stream* stream_of(void* handle);
// What comes of something that is not allowed while the stream is recorded: the recording is of no use any more.
int refuse(Stream& stream, int code);
// Whether this thread records a stream: then much is not allowed.
bool capturing_here();
// Ends the recording of a stream that will be no more.
void leave_capture(Stream& stream);
size_t leaks();
std::string report();

size_t card_bytes();
int driver_version();
struct Capability {
  int major, minor;
};
Capability capability();
// The compute capability that machine code is for, 90 for 9.0; 0 where it is none. The header's flags have it: in their first byte, since
// version 8 of the form in the second.
int compiled_for(const std::string& image);
long long number_from(const char* variable, long long otherwise);

template <class T>
bool known(const std::set<T*>& all, T* one) {
  return all.count(one) > 0;
}

}  // namespace mock

// A call of the driver: holds the books, and returns early where it may not go on.
#define CALL(...)                                                             \
  std::lock_guard<std::recursive_mutex> guard(mock::state().lock);            \
  mock::State& books = mock::state();                                         \
  (void)books;                                                                \
  if (const int code = mock::begin(__VA_ARGS__)) return code
