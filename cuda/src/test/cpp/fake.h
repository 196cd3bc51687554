// CUDA's driver, cublasLt and NVRTC on the CPU, as far as our engine calls them: one library under the names of five,
// so that the engine's own host code can be run where there is no GPU. A stream does nothing until somebody waits for
// it, and then no more than it must: whoever reads, overwrites or frees something too early is found by that. Streams
// whose place in FAKE_CUDA_EAGER has a 1, in the order of their making, do all at once, as legally. What CUDA would
// report has CUDA's number here; what it would let pass with wrong numbers, or a crash, ends the process. On stderr
// there is a line for each graph that is run.
#pragma once
#include "product.h"
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

struct CUstream_st;

namespace fake {
extern std::recursive_mutex door;  // one call at a time

[[noreturn]] void die(const std::string& why);

// Whether this thread has a context.
bool entered();

// Work for a stream, or for the graph that is taken of it.
void ask(CUstream_st* stream, std::function<void()> task);

// Ends the process if there is no such memory.
void need(uint64_t address, size_t bytes, const char* what);

// What is wrong with a product, or null; of the kernels that were loaded last.
const char* multiply(const Product& product);

// A file in the folder of this library.
std::string beside(const char* file);
}  // namespace fake

#define ENTER std::lock_guard<std::recursive_mutex> inside(fake::door)
