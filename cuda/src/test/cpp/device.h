// What both devices on the CPU share: our kernels by their names, and products by their definition. Who includes it
// says what memory there is.
#pragma once
#include "product.h"
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
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>

namespace device {
// Whether so many bytes from there lie in one allocation.
static bool (*holds)(uint64_t address, uint64_t bytes);

// A kernel with its parameters' types: p, i, l and f. Running it says what is wrong, if anything is.
struct Kernel {
  std::string types;
  std::function<std::string(unsigned grid, unsigned threads, unsigned shared, void* const* values)> run;
};

template <class T> char type_of() {
  return std::is_pointer<T>::value ? 'p' : std::is_same<T, float>::value ? 'f' : std::is_same<T, int>::value ? 'i' : 'l';
}

template <class T> T value_of(const void* at) { T value; memcpy(&value, at, sizeof value); return value; }

template <class... A, size_t... I>
Kernel wrapped(void (*kernel)(A...), std::index_sequence<I...>) {
  const std::string types{type_of<A>()...};
  return {types, [kernel, types](unsigned grid, unsigned threads, unsigned shared, void* const* values) {
    for (size_t i = 0; i < types.size(); i++) {
      const uint64_t address = types[i] == 'p' ? value_of<uint64_t>(values[i]) : 0;
      if (address && !holds(address, 1)) return "argument " + std::to_string(i) + " is no memory of ours";
    }
    std::tuple<A...> all{value_of<A>(values[I])...};
    shim::launch(grid, threads, shared, [&] { std::apply(kernel, all); });
    return std::string();
  }};
}
template <class... A> Kernel wrap(void (*kernel)(A...)) { return wrapped(kernel, std::index_sequence_for<A...>()); }

#define OURS(name) {#name, wrap(name)}
static const std::map<std::string, Kernel> kernels = {OURS(rms_norm), OURS(rms_norm_backward), OURS(layer_norm),
    OURS(layer_norm_backward), OURS(convert), OURS(add), OURS(add_bias), OURS(add_bias_backward), OURS(swiglu),
    OURS(swiglu_backward), OURS(activation), OURS(activation_backward), OURS(dropout), OURS(adamw), OURS(gather_rows),
    OURS(gather_rows_backward), OURS(columns), OURS(transpose), OURS(rope), OURS(attention_softmax),
    OURS(row_squares), OURS(copy_rows), OURS(row_lengths), OURS(scale_columns), OURS(dot_columns),
    OURS(gather_columns), OURS(add_dithered), OURS(attention_again), OURS(attention_backward), OURS(cross_entropy),
    OURS(decode_codes),
#ifdef ACTIVE_BF16
    OURS(flash_dots), OURS(flash_forward_32), OURS(flash_queries_32), OURS(flash_keys_32), OURS(flash_forward_64),
    OURS(flash_queries_64), OURS(flash_keys_64), OURS(flash_forward_128), OURS(flash_queries_128), OURS(flash_keys_128)
#endif
};

inline std::string run(const std::string& name, unsigned grid, unsigned threads, unsigned shared, void* const* values) {
  const auto& [known, kernel] = *kernels.find(name);
  shim::kernel = known.c_str();
  const std::string wrong = kernel.run(grid, threads, shared, values);
  shim::kernel = "none";
  return wrong;
}

inline size_t size_of(uint32_t type) { return type == TYPE_F32 ? 4 : 2; }

inline bool reachable(const Operand& o, uint32_t batch) {
  const uint64_t last = (batch - 1) * o.stride + (o.rows - 1) * o.leading + o.columns;
  return holds(o.address, last * size_of(o.type));
}

// To 11 bits of precision, the nearest: what tensor cores take of a float. bf16 is left as it is.
inline float tf32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits = (bits + 0x0fff + (bits >> 13 & 1)) & ~0x1fffu;
  memcpy(&x, &bits, 4);
  return x;
}

// As cublasLt, but in double. Says what is wrong, if anything is.
inline std::string multiply(const Product& p) {
  const Operand &a = p.a, &b = p.b, &c = p.c;
  for (const Operand& o : {a, b, c}) {
    if (!reachable(o, p.batch)) return "an operand lies outside its memory";
  }
  if (p.bias && !holds(p.bias, c.columns * size_of(c.type))) return "a bias lies outside its memory";
  const uint32_t inner = a.turned ? a.rows : a.columns;
  for (uint32_t n = 0; n < p.batch; n++) {
    for (uint32_t i = 0; i < c.rows; i++) {
      for (uint32_t j = 0; j < c.columns; j++) {
        double sum = 0;
        for (uint32_t k = 0; k < inner; k++) {
          const float left = get_as((void*)a.address, a.type, n * a.stride + (a.turned ? k * a.leading + i : i * a.leading + k));
          const float right = get_as((void*)b.address, b.type, n * b.stride + (b.turned ? j * b.leading + k : k * b.leading + j));
          sum += p.tf32 ? (double)tf32(left) * tf32(right) : (double)left * right;
        }
        const uint64_t at = n * c.stride + i * c.leading + j;
        const double old = p.beta == 0 ? 0 : p.beta * get_as((void*)c.address, c.type, at);
        const double bias = p.bias ? get_as((void*)p.bias, c.type, j) : 0;
        put_as((void*)c.address, c.type, at, (float)(p.alpha * sum + old + bias));
      }
    }
  }
  return "";
}
}  // namespace device
