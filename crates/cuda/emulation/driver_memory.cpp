// The mock driver's memory. Each piece ends where its mapping ends, before a page that nobody may touch; so what reads or
// writes behind it ends the process at once. Fresh memory of a card is NaN in every format.
#include "driver.h"

#include <sys/mman.h>
#include <unistd.h>

namespace mock {
namespace {

constexpr size_t ALIGNMENT = 64;

size_t up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// The address, or 0.
uintptr_t allocate(std::map<uintptr_t, Memory>& all, size_t bytes, Device* device, int fill) {
  const size_t page = sysconf(_SC_PAGESIZE), inner = up(up(bytes, ALIGNMENT), page);
  void* mapping = mmap(nullptr, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return 0;
  char* first = static_cast<char*>(mapping) + page;
  if (mprotect(first, inner, PROT_READ | PROT_WRITE) != 0) return 0;
  char* own = first + inner - up(bytes, ALIGNMENT);
  std::memset(own, fill, up(bytes, ALIGNMENT));
  all[reinterpret_cast<uintptr_t>(own)] = {static_cast<char*>(mapping), inner + 2 * page, bytes, device};
  return reinterpret_cast<uintptr_t>(own);
}

int release(std::map<uintptr_t, Memory>& all, uintptr_t address) {
  const auto at = all.find(address);
  if (at == all.end()) return INVALID_VALUE;
  if (at->second.device) at->second.device->used -= at->second.bytes;
  munmap(at->second.mapping, at->second.mapping_bytes);
  all.erase(at);
  return SUCCESS;
}

// A card's memory that a copy or a fill is about.
int check(uintptr_t address, size_t bytes) {
  const Memory* memory = memory_at(state().device_memory, address, bytes);
  return memory && memory->device == current() ? SUCCESS : INVALID_VALUE;
}

int add(void* stream, Work work) {
  Stream* own = stream_of(stream);
  return own ? put(*own, std::move(work)) : INVALID_HANDLE;
}

}  // namespace

const Memory* memory_at(const std::map<uintptr_t, Memory>& all, uintptr_t address, size_t bytes) {
  auto at = all.upper_bound(address);
  if (at == all.begin()) return nullptr;
  --at;
  return address + bytes <= at->first + at->second.bytes ? &at->second : nullptr;
}

}  // namespace mock

using namespace mock;

API cuMemAlloc_v2(uint64_t* to, size_t bytes) {
  CALL();
  if (bytes == 0) return INVALID_VALUE;
  if (capturing_here()) return STREAM_CAPTURE_UNSUPPORTED;
  const size_t free = card_bytes() - current()->used;
  if (bytes > free) return OUT_OF_MEMORY;
  *to = allocate(books.device_memory, bytes, current(), 0xff);
  if (!*to) return OUT_OF_MEMORY;
  current()->used += bytes;
  if (current()->used > books.most_bytes) books.most_bytes = current()->used;
  return SUCCESS;
}

API cuMemFree_v2(uint64_t address) {
  CALL(true, true);
  if (capturing_here()) return STREAM_CAPTURE_UNSUPPORTED;
  finish_all();
  return release(books.device_memory, address);
}

API cuMemHostAlloc(void** to, size_t bytes, unsigned) {
  CALL();
  if (bytes == 0) return INVALID_VALUE;
  if (capturing_here()) return STREAM_CAPTURE_UNSUPPORTED;
  *to = reinterpret_cast<void*>(allocate(books.host_memory, bytes, nullptr, 0xff));
  return *to ? SUCCESS : OUT_OF_MEMORY;
}

API cuMemFreeHost(void* address) {
  CALL(true, true);
  finish_all();
  return release(books.host_memory, reinterpret_cast<uintptr_t>(address));
}

// Locked memory is read when the stream comes to it, other memory at once; a graph reads at each launch.
API cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  CALL();
  if (const int wrong = check(to, bytes)) return wrong;
  auto* own = static_cast<Stream*>(stream);
  if (!known(books.streams, own)) return INVALID_HANDLE;
  const auto address = reinterpret_cast<uintptr_t>(from);
  const bool locked = memory_at(books.host_memory, address, bytes);
  if (!own->capture && !locked) {
    std::string copy(static_cast<const char*>(from), bytes);
    return add(stream, [=] { return std::memcpy(reinterpret_cast<void*>(to), copy.data(), bytes), int{SUCCESS}; });
  }
  return add(stream, [=]() -> int {
    if (locked && !memory_at(state().host_memory, address, bytes)) return ILLEGAL_ADDRESS;
    if (!memory_at(state().device_memory, to, bytes)) return ILLEGAL_ADDRESS;
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return SUCCESS;
  });
}

// Into memory that is not locked the driver copies before it returns.
API cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  CALL();
  if (const int wrong = check(from, bytes)) return wrong;
  auto* own = static_cast<Stream*>(stream);
  if (!known(books.streams, own)) return INVALID_HANDLE;
  const auto address = reinterpret_cast<uintptr_t>(to);
  const bool locked = memory_at(books.host_memory, address, bytes);
  const int added = add(stream, [=]() -> int {
    if (locked && !memory_at(state().host_memory, address, bytes)) return ILLEGAL_ADDRESS;
    if (!memory_at(state().device_memory, from, bytes)) return ILLEGAL_ADDRESS;
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
  });
  return added || own->capture || locked ? added : finish(*own);
}

API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  CALL();
  if (check(to, bytes) || check(from, bytes)) return INVALID_VALUE;
  return add(stream, [=]() -> int {
    if (!memory_at(state().device_memory, from, bytes) || !memory_at(state().device_memory, to, bytes))
      return ILLEGAL_ADDRESS;
    std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
  });
}

API cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
  CALL();
  if (const int wrong = check(to, bytes)) return wrong;
  return add(stream, [=]() -> int {
    if (!memory_at(state().device_memory, to, bytes)) return ILLEGAL_ADDRESS;
    std::memset(reinterpret_cast<void*>(to), value, bytes);
    return SUCCESS;
  });
}
