// CUDA C for g++, as far as our kernels use it. A block's threads are fibres of one thread of the machine, and
// blocks run one after another, so that the same source that a GPU runs can be computed, and held to account, where
// there is none: a barrier that not all threads reach ends the program, and so does a step outside an allocation.
#pragma once
#include <csetjmp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#define __global__
#define __device__
#define __shared__ static  // one block at a time

struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;

inline float __uint_as_float(unsigned bits) { float f; memcpy(&f, &bits, sizeof f); return f; }
inline unsigned __float_as_uint(float value) { unsigned u; memcpy(&u, &value, sizeof u); return u; }

namespace shim {
const int kWarp = 32, kMost = 1024;
const size_t kStack = 64 << 10;

// How often all members have met, and how many have come since.
struct Barrier { unsigned met, come; };

struct Fibre { ucontext_t start; jmp_buf here; std::unique_ptr<char[]> stack; bool begun, done; };

static Fibre fibres[kMost];
static jmp_buf scheduler;
static unsigned current, finished;
static bool moved;  // whether any fibre got on in this round
static Barrier block, warps[kMost / kWarp];
static float handed[kMost];
static const std::function<void()>* body;
static const char* kernel = "none";

[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "kernel %s, block %u, thread %u: %s\n", kernel, blockIdx.x, threadIdx.x, what);
  _exit(3);
}

inline void leave() { if (!_setjmp(fibres[current].here)) _longjmp(scheduler, 1); }

// A fibre outlives its block and waits for the next one.
inline void live() {
  for (;;) {
    (*body)();
    fibres[current].done = true;
    finished++;
    moved = true;
    leave();
  }
}

inline void meet(Barrier& barrier, unsigned members) {
  const unsigned before = barrier.met;
  moved = true;
  if (++barrier.come == members) {
    barrier.come = 0;
    barrier.met++;
    return;
  }
  while (barrier.met == before) leave();
  moved = true;
}

inline void resume(unsigned id) {
  current = id;
  threadIdx.x = id;
  if (_setjmp(scheduler)) return;
  Fibre& fibre = fibres[id];
  if (fibre.begun) _longjmp(fibre.here, 1);
  fibre.begun = true;
  fibre.stack.reset(new char[kStack]);
  getcontext(&fibre.start);
  fibre.start.uc_stack.ss_sp = fibre.stack.get();
  fibre.start.uc_stack.ss_size = kStack;
  fibre.start.uc_link = nullptr;
  makecontext(&fibre.start, live, 0);
  setcontext(&fibre.start);
}

inline void launch(unsigned grid, unsigned threads, const std::function<void()>& work) {
  if (threads == 0 || threads > kMost || threads % kWarp) fail("a block is whole warps, 1024 threads at most");
  if (grid == 0) fail("a grid has blocks");
  gridDim.x = grid;
  blockDim.x = threads;
  body = &work;
  for (blockIdx.x = 0; blockIdx.x < grid; blockIdx.x++) {
    block = {};
    memset(warps, 0, sizeof warps);
    for (unsigned id = 0; id < threads; id++) fibres[id].done = false;
    for (finished = 0; finished < threads;) {
      moved = false;
      for (unsigned id = 0; id < threads; id++) {
        if (!fibres[id].done) resume(id);
      }
      if (!moved) fail("waits at a barrier that others do not reach");
    }
    if (block.come) fail("a thread ended before a barrier");
  }
}

inline float shuffle(float value, int apart) {
  const unsigned id = threadIdx.x;
  Barrier& warp = warps[id / kWarp];
  handed[id] = value;
  meet(warp, kWarp);
  const float other = handed[id ^ apart];
  meet(warp, kWarp);
  return other;
}
}  // namespace shim

#define __syncthreads() shim::meet(shim::block, blockDim.x)
#define __shfl_xor_sync(lanes, value, apart) shim::shuffle(value, apart)
