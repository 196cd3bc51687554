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
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#define SHIM

struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim, gridDim;

inline float __uint_as_float(unsigned bits) { float f; memcpy(&f, &bits, sizeof f); return f; }
inline unsigned __float_as_uint(float value) { unsigned u; memcpy(&u, &value, sizeof u); return u; }

inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }

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

// Shared memory of a size that the launch says: 227 KiB at most, as on Hopper. What lies behind stays as it is.
const size_t kShared = 227 << 10;
const char kBehind = 0x5c;
alignas(16) static unsigned short shared[kShared / 2];

[[noreturn]] inline void fail(const char* what) {
  fprintf(stderr, "kernel %s, block %u, thread %u: %s\n", kernel, blockIdx.x, threadIdx.x, what);
  _exit(3);
}

inline void leave() { if (!_setjmp(fibres[current].here)) _longjmp(scheduler, 1); }

inline void forget_copies();

// A fibre outlives its block and waits for the next one; what is on its way then arrives nowhere.
inline void live() {
  for (;;) {
    (*body)();
    forget_copies();
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

inline void launch(unsigned grid, unsigned threads, unsigned bytes, const std::function<void()>& work) {
  if (bytes > kShared) fail("a block has at most 227 KiB of shared memory");
  char* const behind = reinterpret_cast<char*>(shared) + bytes;
  memset(behind, kBehind, kShared - bytes);
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
  for (size_t i = 0; i < kShared - bytes; i++) {
    if (behind[i] != kBehind) fail("writes beyond its shared memory");
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

inline bool any(bool holds) {
  float sum = holds;
  for (int apart = kWarp / 2; apart > 0; apart /= 2) sum += shuffle(sum, apart);
  return sum > 0;
}

// What the lanes of a warp put on the table, for all of them to read.
struct Table { unsigned words[6]; const unsigned short* row; };
static Table tables[kMost];

inline const Table* table() { return tables + threadIdx.x / kWarp * kWarp; }
inline void show() { meet(warps[threadIdx.x / kWarp], kWarp); }

inline float low(unsigned both) { return __uint_as_float(both << 16); }
inline float high(unsigned both) { return __uint_as_float(both & 0xffff0000u); }
inline float half(const unsigned* words, int i) { return i % 2 ? high(words[i / 2]) : low(words[i / 2]); }

}  // namespace shim

#define DYNAMIC_SHARED(name) unsigned short* const name = shim::shared

// Element (i, k) of a lies in lane 4 · (i % 8) + k % 8 / 2, (k, j) of b in lane 4 · j + k % 8 / 2, (i, j) of d in lane
// 4 · (i % 8) + j / 2: PTX's mma.m16n8k16.
inline void multiply_add(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  shim::Table& own = shim::tables[threadIdx.x];
  for (int i = 0; i < 4; i++) own.words[i] = a[i];
  own.words[4] = b0;
  own.words[5] = b1;
  shim::show();
  const int lane = threadIdx.x % shim::kWarp;
  for (int c = 0; c < 4; c++) {
    const int i = lane / 4 + c / 2 * 8, j = lane % 4 * 2 + c % 2;
    double sum = 0;
    for (int k = 0; k < 16; k++) {
      const unsigned* left = shim::table()[i % 8 * 4 + k % 8 / 2].words;
      const unsigned* right = shim::table()[j * 4 + k % 8 / 2].words + 4;
      sum += (double)shim::half(left + i / 8 + k / 8 * 2, k % 2) * shim::half(right + k / 8, k % 2);
    }
    d[c] += (float)sum;
  }
  shim::show();
}

inline void load_four(unsigned (&r)[4], const unsigned short* row) {
  shim::tables[threadIdx.x].row = row;
  shim::show();
  const int lane = threadIdx.x % shim::kWarp;
  for (int m = 0; m < 4; m++) {
    const unsigned short* from = shim::table()[8 * m + lane / 4].row + lane % 4 * 2;
    r[m] = from[0] | (unsigned)from[1] << 16;
  }
  shim::show();
}

inline void load_four_turned(unsigned (&r)[4], const unsigned short* row) {
  shim::tables[threadIdx.x].row = row;
  shim::show();
  const int lane = threadIdx.x % shim::kWarp;
  for (int m = 0; m < 4; m++) {
    const shim::Table* rows = shim::table() + 8 * m + lane % 4 * 2;
    r[m] = rows[0].row[lane / 4] | (unsigned)rows[1].row[lane / 4] << 16;
  }
  shim::show();
}

// Copies arrive when they are waited for, and not before: a wait that is missing shows.
struct Later { unsigned short* to; const unsigned short* from; };
struct Copies { std::vector<Later> begun, latest, earlier; };
static Copies copies[shim::kMost];

inline void arrive(std::vector<Later>& some) {
  for (const Later& one : some) {
    if (one.from) memcpy(one.to, one.from, 16);
    else memset(one.to, 0, 16);
  }
  some.clear();
}
inline void copy_later(unsigned short* to, const unsigned short* from, bool there) {
  if ((size_t)to % 16 || (size_t)from % 16) shim::fail("copies 16 bytes that are not aligned");
  copies[threadIdx.x].begun.push_back({to, there ? from : nullptr});
}
inline void copies_begin() {
  Copies& own = copies[threadIdx.x];
  own.earlier.insert(own.earlier.end(), own.latest.begin(), own.latest.end());
  own.latest.swap(own.begun);
  own.begun.clear();
}
inline void copies_but_latest() { arrive(copies[threadIdx.x].earlier); }
inline void copies_all() {
  copies_but_latest();
  arrive(copies[threadIdx.x].latest);
}

inline void shim::forget_copies() {
  Copies& own = copies[threadIdx.x];
  for (auto* some : {&own.begun, &own.latest, &own.earlier}) some->clear();
}

inline float power_of_two(float x) { return exp2f(x); }

#define __syncthreads() shim::meet(shim::block, blockDim.x)
#define __shfl_xor_sync(lanes, value, apart) shim::shuffle(value, apart)
#define __any_sync(lanes, holds) shim::any(holds)
#define __all_sync(lanes, holds) (!shim::any(!(holds)))
