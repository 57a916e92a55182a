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
//   MOCK_CUDA_REPORT=FILE          at the end of the process a line of JSON is added to this file
#pragma once
#include "cuda_emulation.h"

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

// A piece of a stream's work. Gives a code; what is not 0 stays with the context, as on a card.
using Work = std::function<int()>;

struct Graph {
  std::vector<Work> works;
};

struct Stream {
  Device* device;
  std::vector<Work> waiting;
  Graph* capture = nullptr;
  bool capture_broken = false;
  std::thread::id capturing_thread;
};

struct Event {
  Device* device;
  Stream* stream = nullptr;  // while it has not been come to
};

struct Module {
  Device* device;
  std::string image;
};

struct Function {
  Module* module;
  const emulation::Kernel* kernel;
};

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
  uint64_t calls = 0, launches = 0, graph_launches = 0, failures = 0, most_bytes = 0, compiled_modules = 0;
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
// Does all that waits.
int finish(Stream& stream);
int finish_all();
// Whether this thread records a stream: then much is not allowed.
bool capturing_here();
size_t leaks();
std::string report();

size_t card_bytes();
int driver_version();
struct Capability {
  int major, minor;
};
Capability capability();
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
