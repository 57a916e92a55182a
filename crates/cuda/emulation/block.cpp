// Blocks of threads as fibers: what a barrier is, and in which order threads run.
#include "cuda_emulation.h"

#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {
namespace {

constexpr unsigned MOST_THREADS = 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK_BYTES = 256 << 10;
#else
constexpr size_t STACK_BYTES = 64 << 10;
#endif

// ---- Switching from one stack to another ----

#if defined(__x86_64__)
struct Context {
  void* stack = nullptr;
};
// Keeps what a function must keep, and goes on where `to` was left.
extern "C" void emulation_switch(void** from, void* to);
asm(R"(
.text
.hidden emulation_switch
.globl emulation_switch
.type emulation_switch, @function
emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulation_switch, .-emulation_switch
)");
// `skew`: bytes at the stack's end that are left out; stacks that are a power of two apart would share a cache's few lines.
void prepare(Context& context, char* stack, size_t skew, void (*start)()) {
  auto* top = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(stack + STACK_BYTES - skew) & ~uintptr_t{15});
  *--top = 0;  // a return address for `start`, which never returns; keeps the stack aligned as at a call
  *--top = reinterpret_cast<uintptr_t>(start);
  for (int i = 0; i < 6; i++) *--top = 0;
  context.stack = top;
}
void change(Context& from, Context& to) { emulation_switch(&from.stack, to.stack); }
#else
struct Context {
  ucontext_t context;
};
void prepare(Context& context, char* stack, size_t skew, void (*start)()) {
  getcontext(&context.context);
  context.context.uc_stack.ss_sp = stack;
  context.context.uc_stack.ss_size = STACK_BYTES - skew;
  context.context.uc_link = nullptr;
  makecontext(&context.context, start, 0);
}
void change(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
#endif

// ---- A block ----

enum class State { NEW, READY, AT_WARP, AT_BLOCK, DONE };

struct Thread {
  Context context;
  State state;
  unsigned stack;
  uint3 index;
  Collective work;
  void* operand;
  Copies copies;
};

struct Block {
  Thread threads[MOST_THREADS];
  char* stacks = nullptr;
  // Stacks that no thread has; the last one was used last. So threads without barriers all have the same.
  unsigned free_stacks[MOST_THREADS], free_count = 0;
  Context scheduler;
  unsigned count = 0, current = 0;
  const Kernel* kernel = nullptr;
  const void* const* arguments = nullptr;
  size_t shared_bytes = 0, dynamic_bytes = 0;
#if defined(__SANITIZE_ADDRESS__)
  const void* own_stack = nullptr;
  size_t own_stack_bytes = 0;
#endif
};
Block block;

// The same place of the stack for all that it switches to.
void to_scheduler() {
  Thread& own = block.threads[block.current];
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(own.state == State::DONE ? nullptr : &fake, block.own_stack, block.own_stack_bytes);
#endif
  change(own.context, block.scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, &block.own_stack, &block.own_stack_bytes);
#endif
}

void start_thread() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block.own_stack, &block.own_stack_bytes);
#endif
  block.kernel->call(*block.kernel, block.arguments);
  block.threads[block.current].state = State::DONE;
  to_scheduler();
  std::abort();
}

void resume(unsigned thread) {
  Thread& own = block.threads[thread];
  block.current = thread;
  threadIdx = own.index;
  if (own.state == State::NEW) {
    own.stack = block.free_stacks[--block.free_count];
    prepare(own.context, block.stacks + own.stack * STACK_BYTES, own.stack % 32 * 192, start_thread);
  }
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, block.stacks + own.stack * STACK_BYTES, STACK_BYTES);
#endif
  change(block.scheduler, own.context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  if (own.state == State::DONE) block.free_stacks[block.free_count++] = own.stack;
}

// If all lanes of a warp have come: does their work and lets them go on.
bool finish_warp(unsigned first) {
  void* operands[WARP_LANES];
  if (first + WARP_LANES > block.count) fail("a warp that is not full has something to do together");
  Collective work = block.threads[first].work;
  for (unsigned lane = 0; lane < WARP_LANES; lane++) {
    Thread& thread = block.threads[first + lane];
    if (thread.state != State::AT_WARP) return false;
    if (thread.work != work) fail("lanes of a warp are at different places");
    operands[lane] = thread.operand;
  }
  work(operands);
  for (unsigned lane = 0; lane < WARP_LANES; lane++) block.threads[first + lane].state = State::READY;
  return true;
}

// Runs a warp until every lane of it waits for the block or is done.
void run_warp(unsigned first) {
  const unsigned end = first + WARP_LANES < block.count ? first + WARP_LANES : block.count;
  for (;;) {
    bool together = false;
    for (unsigned i = first; i < end; i++) {
      const unsigned thread = reversed ? end - 1 - (i - first) : i;
      const State& state = block.threads[thread].state;
      if (state == State::READY || state == State::NEW) resume(thread);
      together |= state == State::AT_WARP;
    }
    if (!together) return;
    if (!finish_warp(first)) fail("some lanes of a warp wait for lanes that do not come");
  }
}

void run_block() {
  for (unsigned thread = 0; thread < block.count; thread++) {
    block.threads[thread].state = State::NEW;
    block.threads[thread].copies.clear();
  }
  block_serial++;
  begun = 0;
  block.shared_bytes = 0;
  const unsigned warps = (block.count + WARP_LANES - 1) / WARP_LANES;
  for (;;) {
    for (unsigned i = 0; i < warps; i++) run_warp((reversed ? warps - 1 - i : i) * WARP_LANES);
    unsigned waiting = 0;
    for (unsigned thread = 0; thread < block.count; thread++)
      waiting += block.threads[thread].state == State::AT_BLOCK;
    if (waiting == 0) break;
    if (waiting < block.count) fail("some threads ended, and others wait for them at a barrier");
    for (unsigned thread = 0; thread < block.count; thread++) block.threads[thread].state = State::READY;
  }
  if (begun != block.count) fail("a thread did not call begin_kernel(), or twice");
}

}  // namespace

bool reversed = false;
uint64_t block_serial = 0;
unsigned begun = 0;

void fail(const char* message) {
  std::fprintf(stderr, "CUDA emulation: %s (kernel %s, block %u %u %u, thread %u %u %u)\n", message,
               block.kernel ? block.kernel->name : "none", blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y,
               threadIdx.z);
  std::abort();
}

void block_barrier() {
  block.threads[block.current].state = State::AT_BLOCK;
  to_scheduler();
}

void warp_collective(Collective work, void* operand) {
  Thread& own = block.threads[block.current];
  own.work = work;
  own.operand = operand;
  own.state = State::AT_WARP;
  to_scheduler();
}

Copies& copies() { return block.threads[block.current].copies; }

void count_shared(size_t bytes) {
  block.shared_bytes += bytes;
  if (block.shared_bytes > STATIC_SHARED_BYTES) fail("more than 48 KB of static shared memory");
  if (block.shared_bytes + block.dynamic_bytes > MOST_SHARED_BYTES) fail("more than 99 KB of shared memory");
}

void check_dynamic_shared(size_t first, size_t bytes) {
  if (first + bytes > block.dynamic_bytes) fail("more dynamic shared memory than the launch gives");
}

std::vector<Kernel>& kernels() {
  static std::vector<Kernel> all;
  return all;
}

const Kernel* find_kernel(const char* name) {
  for (const Kernel& kernel : kernels())
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  return nullptr;
}

void launch(const Kernel& kernel, uint3 grid, uint3 threads, size_t dynamic_bytes, const void* const* arguments) {
  if (!block.stacks) {
    void* memory = mmap(nullptr, MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for stacks");
    block.stacks = static_cast<char*>(memory);
    for (unsigned stack = 0; stack < MOST_THREADS; stack++) block.free_stacks[stack] = MOST_THREADS - 1 - stack;
    block.free_count = MOST_THREADS;
  }
  block.kernel = &kernel;
  block.arguments = arguments;
  block.dynamic_bytes = dynamic_bytes;
  block.count = threads.x * threads.y * threads.z;
  gridDim = grid;
  blockDim = threads;
  for (unsigned thread = 0; thread < block.count && thread < MOST_THREADS; thread++)
    block.threads[thread].index = {thread % threads.x, thread / threads.x % threads.y, thread / (threads.x * threads.y)};
  if (block.count == 0 || block.count > kernel.most_threads) fail("a block of more threads than the kernel is made for");
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks; i++) {
    const uint64_t at = reversed ? blocks - 1 - i : i;
    blockIdx = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                static_cast<unsigned>(at / grid.x / grid.y)};
    run_block();
  }
  block.kernel = nullptr;
}

}  // namespace emulation
