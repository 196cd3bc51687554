// A device that is a process: takes the driver's calls from stdin, answers on stdout, runs our kernels by shim.h and
// forms products by their definition. All numbers little-endian. ShimDriver.java is the other end.
#include "shim.h"
#include "common.cu"
#include "norms.cu"
#include "elements.cu"
#include "rows.cu"
#include "attention.cu"
#include "flash.cu"
#include "flash_forward.cu"
#include "flash_backward.cu"
#include "loss.cu"
#include "codes.cu"
#include <csignal>
#include <cstdint>
#include <map>
#include <string>
#include <sys/mman.h>
#include <tuple>
#include <unistd.h>

namespace {
void take(void* into, size_t bytes) {
  char* at = static_cast<char*>(into);
  while (bytes) {
    const ssize_t got = read(0, at, bytes);
    if (got <= 0) _exit(got == 0 ? 0 : 4);
    at += got;
    bytes -= got;
  }
}
void give(const void* from, size_t bytes) {
  const char* at = static_cast<const char*>(from);
  while (bytes) {
    const ssize_t put = write(1, at, bytes);
    if (put <= 0) _exit(4);
    at += put;
    bytes -= put;
  }
}
template <class T> T next() { T value; take(&value, sizeof value); return value; }

struct Block { size_t bytes; char* pages; size_t mapped; };
std::map<uint64_t, Block> live;
const size_t kPage = 4096;

// The last byte lies before a page that nobody may touch.
uint64_t allocate(size_t bytes) {
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

// Whether so many bytes from there lie in one allocation.
bool holds(uint64_t address, uint64_t bytes) {
  auto after = live.upper_bound(address);
  if (after == live.begin()) return false;
  const auto& [start, block] = *std::prev(after);
  return address + bytes <= start + block.bytes;
}

std::string wrong;
struct Argument { char tag; uint64_t bits; };

template <class T> T decode(const Argument& argument, size_t place) {
  char tag = std::is_pointer<T>::value ? 'p' : std::is_same<T, float>::value ? 'f' : std::is_same<T, int>::value ? 'i' : 'l';
  if (tag != argument.tag) wrong = "argument " + std::to_string(place) + " is " + argument.tag + ", not " + tag;
  if (tag == 'p' && argument.bits && !holds(argument.bits, 1)) wrong = "argument " + std::to_string(place) + " is no memory of ours";
  T value;
  memcpy(&value, &argument.bits, sizeof value);
  return value;
}

using Arguments = std::vector<Argument>;
using Kernel = std::function<void(unsigned, unsigned, unsigned, const Arguments&)>;

template <class... A, size_t... I>
Kernel wrapped(void (*kernel)(A...), std::index_sequence<I...>) {
  return [kernel](unsigned grid, unsigned threads, unsigned shared, const Arguments& given) {
    if (given.size() != sizeof...(A)) {
      wrong = std::to_string(given.size()) + " arguments instead of " + std::to_string(sizeof...(A));
      return;
    }
    std::tuple<A...> all{decode<A>(given[I], I)...};
    if (wrong.empty()) shim::launch(grid, threads, shared, [&] { std::apply(kernel, all); });
  };
}
template <class... A> Kernel wrap(void (*kernel)(A...)) { return wrapped(kernel, std::index_sequence_for<A...>()); }

#define OURS(name) {#name, wrap(name)}
const std::map<std::string, Kernel> kernels = {OURS(rms_norm), OURS(rms_norm_backward), OURS(layer_norm),
    OURS(layer_norm_backward), OURS(convert), OURS(add), OURS(add_bias), OURS(add_bias_backward), OURS(swiglu),
    OURS(swiglu_backward), OURS(activation), OURS(activation_backward), OURS(dropout), OURS(adamw), OURS(gather_rows),
    OURS(gather_rows_backward), OURS(columns), OURS(transpose), OURS(rope), OURS(attention_softmax),
    OURS(row_squares), OURS(copy_rows), OURS(row_lengths),
    OURS(scale_columns), OURS(dot_columns), OURS(gather_columns), OURS(add_dithered), OURS(attention_again), OURS(attention_backward), OURS(cross_entropy), OURS(decode_codes),
#ifdef ACTIVE_BF16
    OURS(flash_dots), OURS(flash_forward_32), OURS(flash_queries_32), OURS(flash_keys_32), OURS(flash_forward_64),
    OURS(flash_queries_64), OURS(flash_keys_64), OURS(flash_forward_128), OURS(flash_queries_128), OURS(flash_keys_128)
#endif
};

struct Operand { uint64_t address; uint32_t type, rows, columns; uint64_t leading, stride; uint8_t turned; } __attribute__((packed));

size_t size_of(uint32_t type) { return type == TYPE_F32 ? 4 : 2; }

bool reachable(const Operand& o, uint32_t batch) {
  const uint64_t last = (batch - 1) * o.stride + (o.rows - 1) * o.leading + o.columns;
  return holds(o.address, last * size_of(o.type));
}

// To 11 bits of precision, the nearest: what tensor cores take of a float. bf16 is left as it is.
float tf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x0fff + (bits >> 13 & 1)) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}

// c = alpha · op(a) · op(b) + beta · c + bias for each of the batch, as cublasLt but in double.
void multiply() {
  const bool rounds = next<uint8_t>();
  const Operand a = next<Operand>(), b = next<Operand>(), c = next<Operand>();
  const double alpha = next<double>(), beta = next<double>();
  const uint32_t batch = next<uint32_t>();
  const uint64_t bias = next<uint64_t>();
  if (bias && !holds(bias, c.columns * size_of(c.type))) { wrong = "a bias lies outside its memory"; return; }
  for (const Operand& o : {a, b, c}) {
    if (!reachable(o, batch)) { wrong = "an operand lies outside its memory"; return; }
  }
  const uint32_t inner = a.turned ? a.rows : a.columns;
  for (uint32_t n = 0; n < batch; n++) {
    for (uint32_t i = 0; i < c.rows; i++) {
      for (uint32_t j = 0; j < c.columns; j++) {
        double sum = 0;
        for (uint32_t k = 0; k < inner; k++) {
          const float left = get_as((void*)a.address, a.type, n * a.stride + (a.turned ? k * a.leading + i : i * a.leading + k));
          const float right = get_as((void*)b.address, b.type, n * b.stride + (b.turned ? j * b.leading + k : k * b.leading + j));
          sum += rounds ? (double)tf32(left) * tf32(right) : (double)left * right;
        }
        const uint64_t at = n * c.stride + i * c.leading + j;
        put_as((void*)c.address, c.type, at, (float)(alpha * sum + (beta == 0 ? 0 : beta * get_as((void*)c.address, c.type, at)) + (bias ? get_as((void*)bias, c.type, j) : 0)));
      }
    }
  }
}

void launch() {
  std::string name(next<uint16_t>(), ' ');
  take(&name[0], name.size());
  const uint32_t grid = next<uint32_t>(), threads = next<uint32_t>(), shared = next<uint32_t>();
  Arguments given(next<uint16_t>());
  for (Argument& argument : given) argument = {next<char>(), next<uint64_t>()};
  auto found = kernels.find(name);
  if (found == kernels.end()) { wrong = "no kernel " + name; return; }
  shim::kernel = found->first.c_str();
  found->second(grid, threads, shared, given);
  shim::kernel = "none";
}

void outside(int) { shim::fail("touches memory outside of its tensors"); }
}  // namespace

int main() {
  static char stack[1 << 16];
  stack_t own = {};
  own.ss_sp = stack;
  own.ss_size = sizeof stack;
  sigaltstack(&own, nullptr);
  struct sigaction action = {};
  action.sa_handler = outside;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  for (;;) {
    const char op = next<char>();
    wrong.clear();
    std::vector<char> answer;
    if (op == 'A') {
      const uint64_t address = allocate(next<uint64_t>());
      if (!address) wrong = "out of memory";
      answer.assign((const char*)&address, (const char*)(&address + 1));
    } else if (op == 'F') {
      auto found = live.find(next<uint64_t>());
      if (found == live.end()) {
        wrong = "frees what is not allocated";
      } else {
        munmap(found->second.pages, found->second.mapped);
        live.erase(found);
      }
    } else if (op == 'U') {
      const uint64_t address = next<uint64_t>();
      std::vector<char> data(next<uint64_t>());
      take(data.data(), data.size());
      if (!holds(address, data.size())) wrong = "uploads beyond an allocation";
      else memcpy((void*)address, data.data(), data.size());
    } else if (op == 'D') {
      const uint64_t address = next<uint64_t>(), bytes = next<uint64_t>();
      if (!holds(address, bytes)) wrong = "downloads beyond an allocation";
      else answer.assign((const char*)address, (const char*)address + bytes);
    } else if (op == 'S') {
      const uint64_t address = next<uint64_t>(), bytes = next<uint64_t>();
      if (!holds(address, bytes)) wrong = "fills beyond an allocation";
      else memset((void*)address, 0, bytes);
    } else if (op == 'L') {
      launch();
    } else if (op == 'M') {
      multiply();
    } else {
      wrong = "no such call";
    }
    const uint32_t length = wrong.empty() ? answer.size() : wrong.size();
    const char status = wrong.empty() ? 0 : 1;
    give(&status, 1);
    give(&length, 4);
    give(wrong.empty() ? answer.data() : wrong.data(), length);
  }
}
