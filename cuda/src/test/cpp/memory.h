// Memory of a device on the CPU, in which a step outside an allocation is found.
#pragma once
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <sys/mman.h>

namespace memory {
struct Block { size_t bytes; char* pages; size_t mapped; };
static std::map<uint64_t, Block> live;
const size_t kPage = 4096;

// The last byte lies before a page that nobody may touch. 0 if there is no more.
inline uint64_t allocate(size_t bytes) {
  const size_t room = (bytes + 15) / 16 * 16, mapped = (room + kPage - 1) / kPage * kPage + kPage;
  char* pages = static_cast<char*>(mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (pages == MAP_FAILED) return 0;
  mprotect(pages + mapped - kPage, kPage, PROT_NONE);
  char* at = pages + mapped - kPage - room;
  memset(at, 0xff, room);  // NaN, so that nothing may rely on zeros
  const uint64_t address = reinterpret_cast<uint64_t>(at);
  live[address] = {bytes, pages, mapped};
  return address;
}

// Whether it was allocated.
inline bool release(uint64_t address) {
  auto found = live.find(address);
  if (found == live.end()) return false;
  munmap(found->second.pages, found->second.mapped);
  live.erase(found);
  return true;
}

inline bool holds(uint64_t address, uint64_t bytes) {
  auto after = live.upper_bound(address);
  if (after == live.begin()) return false;
  const auto& [start, block] = *std::prev(after);
  return address + bytes <= start + block.bytes;
}
}  // namespace memory
