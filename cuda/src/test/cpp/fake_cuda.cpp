// CUDA's driver, cublasLt and NVRTC on the CPU, as far as our engine calls them: one library under the names of five,
// so that the engine's own host code can be run where there is no GPU. A stream does nothing until somebody waits for
// it, and then no more than it must: whoever reads, overwrites or frees something too early is found by that. Streams
// whose place in FAKE_CUDA_EAGER has a 1, in the order of their making, do all at once, as legally. What CUDA would
// report has CUDA's number here; what it would let pass with wrong numbers, or a crash, ends the process. On stderr
// there is a line for each graph that is run.
#include "memory.h"
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <dlfcn.h>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>
#if __has_include(<cuda.h>)
#include <cuda.h>  // the compiler compares our signatures with CUDA's
#else
typedef int CUresult, CUdevice, CUdevice_attribute, CUfunction_attribute, CUstreamCaptureMode;
typedef unsigned long long CUdeviceptr, cuuint64_t;
typedef struct CUctx_st* CUcontext;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;
typedef struct CUstream_st* CUstream;
typedef struct CUevent_st* CUevent;
typedef struct CUgraph_st* CUgraph;
typedef struct CUgraphExec_st* CUgraphExec;
struct CUuuid { char bytes[16]; };
enum { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_OUT_OF_MEMORY = 2, CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NOT_FOUND = 500, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901 };
#endif

using Task = std::function<void()>;

// What a library of kernels exports; fake_kernels.cpp.
struct Operand { uint64_t address; uint32_t type, rows, columns; uint64_t leading, stride; uint8_t turned; } __attribute__((packed));
struct Product { uint8_t tf32; Operand a, b, c; double alpha, beta; uint32_t batch; uint64_t bias; } __attribute__((packed));
struct CUmod_st {
  void* library;
  const char* (*types)(const char*);
  const char* (*run)(const char*, unsigned, unsigned, unsigned, void* const*);
};
struct CUctx_st {};
struct CUfunc_st { std::string name, types; CUmodule module; unsigned shared = 48 << 10; };
struct CUgraph_st { std::vector<Task> tasks; };
struct CUgraphExec_st { std::vector<Task> tasks; };
struct CUstream_st {
  std::deque<Task> todo;
  uint64_t asked = 0, done = 0;
  bool eager = false;
  CUgraph taken = nullptr;  // while it is captured
  bool spoilt = false;
};
struct Place { CUstream stream; uint64_t at; };
struct CUevent_st { std::optional<Place> place; };

namespace {
// Bytes of a device.
size_t most() {
  const char* told = getenv("FAKE_CUDA_BYTES");
  return told ? strtoull(told, nullptr, 10) : size_t(16) << 30;
}
size_t allocated = 0;  // of all devices together
std::recursive_mutex door;
thread_local CUcontext current = nullptr;
thread_local CUstream capturing = nullptr;
std::map<uint64_t, size_t> host;  // page-locked memory
const char* (*multiply)(const Product*) = nullptr;

[[noreturn]] void die(const std::string& why) {
  fprintf(stderr, "fake CUDA: %s\n", why.c_str());
  _exit(3);
}

void drain(CUstream stream, uint64_t until) {
  while (stream->done < until) {
    const Task task = std::move(stream->todo.front());
    stream->todo.pop_front();
    task();
    stream->done++;
  }
}

CUresult ask(CUstream stream, Task task) {
  if (!stream) die("work for the default stream, which ours do not wait for");
  if (stream->taken) {
    stream->taken->tasks.push_back(std::move(task));
    return CUDA_SUCCESS;
  }
  stream->todo.push_back(std::move(task));
  stream->asked++;
  if (stream->eager) drain(stream, stream->asked);
  return CUDA_SUCCESS;
}

// Whether a thread may do what has no place in a graph.
CUresult outside() {
  if (!current) return CUDA_ERROR_INVALID_CONTEXT;
  if (!capturing) return CUDA_SUCCESS;
  capturing->spoilt = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

bool locked(const void* at, size_t bytes) {
  const uint64_t address = reinterpret_cast<uint64_t>(at);
  auto after = host.upper_bound(address);
  if (after == host.begin()) return false;
  const auto& [start, size] = *std::prev(after);
  return address + bytes <= start + size;
}

void need(uint64_t address, size_t bytes, const char* what) {
  if (!memory::holds(address, bytes)) die(std::string(what) + " touches what is not allocated");
}

std::string beside(const char* file) {
  Dl_info here;
  dladdr(reinterpret_cast<void*>(&drain), &here);
  const std::string path = here.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + file;
}
}  // namespace

#define ENTER std::lock_guard<std::recursive_mutex> inside(door)
#define NEEDS_CONTEXT ENTER; if (!current) return CUDA_ERROR_INVALID_CONTEXT
#define OUTSIDE ENTER; if (const CUresult no = outside()) return no

extern "C" {
CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return ordinal >= 0 && ordinal < DEVICES ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuDeviceGetCount(int* count) { *count = DEVICES; return CUDA_SUCCESS; }
CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  for (int i = 0; i < 15; i++) uuid->bytes[i] = char(0x11 * i);
  uuid->bytes[15] = char(device);
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
  if (which != 75 && which != 76) return CUDA_ERROR_INVALID_VALUE;
  *value = which == 75 ? 9 : 0;  // compute capability 9.0
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  static CUctx_st primary[DEVICES];
  *context = &primary[device];
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) { current = context; return CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  NEEDS_CONTEXT;
  const char* path = static_cast<const char*>(image);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) die(dlerror());
  reinterpret_cast<void (*)(bool (*)(uint64_t, uint64_t))>(dlsym(library, "kernels_open"))(memory::holds);
  multiply = reinterpret_cast<decltype(multiply)>(dlsym(library, "kernels_multiply"));
  *module = new CUmod_st{library, reinterpret_cast<decltype(CUmod_st::types)>(dlsym(library, "kernels_types")),
      reinterpret_cast<decltype(CUmod_st::run)>(dlsym(library, "kernels_run"))};
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) { NEEDS_CONTEXT; delete module; return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  NEEDS_CONTEXT;
  const char* types = module->types(name);
  if (!types) return CUDA_ERROR_NOT_FOUND;
  *function = new CUfunc_st{name, types, module};
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  NEEDS_CONTEXT;
  if (which != 8 || value > 227 << 10) return CUDA_ERROR_INVALID_VALUE;
  function->shared = value;
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernel(CUfunction f, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned y2, unsigned z2,
    unsigned shared, CUstream stream, void** parameters, void** extra) {
  NEEDS_CONTEXT;
  if (y != 1 || z != 1 || y2 != 1 || z2 != 1 || extra || shared > f->shared) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint64_t> bits(f->types.size());
  for (size_t i = 0; i < bits.size(); i++) {
    memcpy(&bits[i], parameters[i], f->types[i] == 'p' || f->types[i] == 'l' ? 8 : 4);
  }
  return ask(stream, [=]() mutable {
    std::vector<void*> values(bits.size());
    for (size_t i = 0; i < bits.size(); i++) values[i] = &bits[i];
    if (const char* wrong = f->module->run(f->name.c_str(), x, threads, shared, values.data())) die(f->name + ": " + wrong);
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
  OUTSIDE;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  *address = allocated + bytes > most() ? 0 : memory::allocate(bytes);
  if (*address) allocated += bytes;
  return *address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  OUTSIDE;
  auto found = memory::live.find(address);
  if (found == memory::live.end()) return CUDA_ERROR_INVALID_VALUE;
  allocated -= found->second.bytes;
  memory::release(address);
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  NEEDS_CONTEXT;
  *total = most();
  *free = *total - allocated;
  return CUDA_SUCCESS;
}
CUresult cuMemAllocHost_v2(void** at, size_t bytes) {
  OUTSIDE;
  const uint64_t address = memory::allocate(bytes);
  host[address] = bytes;
  *at = reinterpret_cast<void*>(address);
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* at) {
  OUTSIDE;
  const uint64_t address = reinterpret_cast<uint64_t>(at);
  if (!host.erase(address)) return CUDA_ERROR_INVALID_VALUE;
  memory::release(address);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  if (!locked(from, bytes)) {  // read before the call returns
    std::vector<char> copy(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    return ask(stream, [=] { need(to, bytes, "an upload"); memcpy((void*)to, copy.data(), bytes); });
  }
  return ask(stream, [=] {
    if (!locked(from, bytes)) die("an upload reads what has been given back");
    need(to, bytes, "an upload");
    memcpy((void*)to, from, bytes);
  });
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  if (!locked(to, bytes)) die("copies into memory that is not page-locked");
  return ask(stream, [=] {
    if (!locked(to, bytes)) die("copies into what has been given back");
    need(from, bytes, "a copy");
    memcpy(to, (const void*)from, bytes);
  });
}
CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  return ask(stream, [=] { need(at, bytes, "a clear"); memset((void*)at, value, bytes); });
}

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
  OUTSIDE;
  if (flags != 1) die("a stream that waits for the default one");
  static unsigned made = 0;
  const char* eager = getenv("FAKE_CUDA_EAGER");
  *stream = new CUstream_st;
  (*stream)->eager = eager && strlen(eager) > 0 && eager[made % strlen(eager)] == '1';
  made++;
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  OUTSIDE;
  drain(stream, stream->asked);
  stream->done = ~uint64_t(0);  // whoever waits for a place in it goes on
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream stream) {
  OUTSIDE;
  if (!stream) die("waits for the default stream");
  drain(stream, stream->asked);
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  NEEDS_CONTEXT;
  if (!event->place) return CUDA_SUCCESS;
  const Place place = *event->place;
  return ask(stream, [=] { drain(place.stream, place.at); });
}
CUresult cuEventCreate(CUevent* event, unsigned flags) {
  NEEDS_CONTEXT;
  if (flags & ~3u) return CUDA_ERROR_INVALID_VALUE;
  *event = new CUevent_st;
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
  NEEDS_CONTEXT;
  if (stream->taken) { stream->spoilt = true; return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; }
  event->place = Place{stream, stream->asked};
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event) {
  OUTSIDE;
  if (event->place) drain(event->place->stream, event->place->at);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) { NEEDS_CONTEXT; delete event; return CUDA_SUCCESS; }

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  OUTSIDE;
  if (mode != 1) die("a capture that other threads can spoil");
  stream->taken = new CUgraph_st;
  stream->spoilt = false;
  capturing = stream;
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  NEEDS_CONTEXT;
  if (capturing != stream) return CUDA_ERROR_INVALID_VALUE;
  capturing = nullptr;
  *graph = stream->spoilt ? nullptr : stream->taken;
  if (stream->spoilt) delete stream->taken;
  stream->taken = nullptr;
  return stream->spoilt ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* ready, CUgraph graph, unsigned long long flags) {
  OUTSIDE;
  if (!graph || flags) return CUDA_ERROR_INVALID_VALUE;
  *ready = new CUgraphExec_st{graph->tasks};
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { OUTSIDE; delete graph; return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) {
  OUTSIDE;
  fprintf(stderr, "fake CUDA: a graph of %zu\n", graph->tasks.size());
  for (const Task& task : graph->tasks) ask(stream, task);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec graph) { OUTSIDE; delete graph; return CUDA_SUCCESS; }
}

// cublasLt: columns are stored, so that what is a matrix to it is the transposed one to a Product.
struct Descriptor { int compute, scale, turned[2] = {0, 0}, epilogue = 1; uint64_t bias = 0; };
struct Layout { int type; uint64_t rows, columns; int64_t leading; int batch = 1; int64_t stride = 0; };
struct Preference { uint64_t workspace = 0; int reduction = 7; int aligned[4] = {256, 256, 256, 256}; };
struct Algorithm { uint64_t data[8]; };
struct Heuristic { Algorithm algorithm; size_t workspace; int state; float waves; int reserved[4]; };

namespace {
const int kInvalid = 7, kUnsupported = 15;

uint64_t kind(const Descriptor& d, const Layout& a, const Layout& b, const Layout& c) {
  uint64_t hash = 14695981039346656037u;
  auto mix = [&](uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  for (uint64_t v : {d.compute, d.scale, d.turned[0], d.turned[1], d.epilogue}) mix(v);
  for (const Layout& l : {a, b, c}) {
    for (uint64_t v : {uint64_t(l.type), l.rows, l.columns, uint64_t(l.leading), uint64_t(l.batch), uint64_t(l.stride)}) mix(v);
  }
  return hash;
}

template <class T> int set(T* field, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return kInvalid;
  memcpy(field, value, bytes);
  return 0;
}

Operand operand(const void* at, const Layout& l, int turned) {
  return {reinterpret_cast<uint64_t>(at), l.type == 0 ? 0u : 1u, uint32_t(l.columns), uint32_t(l.rows), uint64_t(l.leading),
      uint64_t(l.stride), uint8_t(turned)};
}
}  // namespace

extern "C" {
size_t cublasLtGetVersion() { return 130000; }
int cublasLtCreate(void** handle) { *handle = new int; return current ? 0 : 1; }
int cublasLtMatmulDescCreate(Descriptor** made, int compute, int scale) {
  if ((compute != 68 && compute != 77) || scale != 0) return kUnsupported;
  *made = new Descriptor{compute, scale};
  return 0;
}
int cublasLtMatmulDescSetAttribute(Descriptor* d, int which, const void* value, size_t bytes) {
  if (which == 3 || which == 4) return set(&d->turned[which - 3], value, bytes);
  if (which == 7) return set(&d->epilogue, value, bytes);
  return which == 8 ? set(&d->bias, value, bytes) : kInvalid;
}
int cublasLtMatrixLayoutCreate(Layout** made, int type, uint64_t rows, uint64_t columns, int64_t leading) {
  if ((type != 0 && type != 14) || leading < int64_t(rows)) return kInvalid;
  *made = new Layout{type, rows, columns, leading};
  return 0;
}
int cublasLtMatrixLayoutSetAttribute(Layout* l, int which, const void* value, size_t bytes) {
  if (which == 5) return set(&l->batch, value, bytes);
  return which == 6 ? set(&l->stride, value, bytes) : kInvalid;
}
int cublasLtMatmulPreferenceCreate(Preference** made) { *made = new Preference; return 0; }
int cublasLtMatmulPreferenceSetAttribute(Preference* p, int which, const void* value, size_t bytes) {
  if (which == 1) return set(&p->workspace, value, bytes);
  if (which == 3) return set(&p->reduction, value, bytes);
  return which >= 5 && which <= 8 ? set(&p->aligned[which - 5], value, bytes) : kInvalid;
}
int cublasLtMatmulAlgoGetHeuristic(void*, const Descriptor* d, const Layout* a, const Layout* b, const Layout* c,
    const Layout* into, const Preference* p, int wanted, Heuristic* results, int* found) {
  const uint64_t m = d->turned[0] ? a->columns : a->rows, k = d->turned[0] ? a->rows : a->columns;
  const uint64_t n = d->turned[1] ? b->rows : b->columns, k2 = d->turned[1] ? b->columns : b->rows;
  *found = 0;
  if (k != k2 || into->rows != m || into->columns != n || c->leading != into->leading || a->type != b->type || wanted < 1 ||
      (d->epilogue != 1 && d->epilogue != 4) || (a->type == 0 && into->type != 0)) {
    return kUnsupported;
  }
  if (p->workspace == 0) die("no product may have a workspace");
  if (p->reduction & ~2) die("parts of sums may be rounded to the result's type");
  Heuristic first = {};
  first.algorithm.data[0] = kind(*d, *a, *b, *into);
  for (int i = 0; i < 4; i++) first.algorithm.data[1 + i] = p->aligned[i];
  first.workspace = p->workspace;
  *results = first;
  *found = 1;
  return 0;
}
int cublasLtMatmul(void*, const Descriptor* d, const float* alpha, const void* a, const Layout* left, const void* b,
    const Layout* right, const float* beta, const void* c, const Layout* before, void* into, const Layout* result,
    const Algorithm* algorithm, void* workspace, size_t workspaceBytes, CUstream stream) {
  ENTER;
  if (!current) return 1;
  if (c != into || before != result) die("a product into another matrix");
  if (algorithm->data[0] != kind(*d, *left, *right, *result)) die("an algorithm for another kind of product");
  const void* pointers[] = {a, b, c, into};
  for (int i = 0; i < 4; i++) {
    if (reinterpret_cast<uint64_t>(pointers[i]) % algorithm->data[1 + i]) die("an algorithm for better aligned matrices");
  }
  if (d->epilogue == 4 && (d->bias == 0 || d->bias % 16)) die("a bias that is nowhere, or begins anywhere");
  const Product product = {uint8_t(d->compute == 77), operand(b, *right, d->turned[1]), operand(a, *left, d->turned[0]),
      operand(into, *result, 0), *alpha, *beta, uint32_t(result->batch), d->epilogue == 4 ? d->bias : 0};
  ask(stream, [=] {
    need(reinterpret_cast<uint64_t>(workspace), workspaceBytes, "a workspace");
    memset(workspace, 0xff, 256);
    if (const char* wrong = multiply(&product)) die(std::string("a product: ") + wrong);
  });
  return 0;
}

// NVRTC: the compiled kernels are the name of a library that has them.
struct Program { std::string source, image; };
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 99; return 0; }
int nvrtcCreateProgram(Program** made, const char* source, const char*, int headers, const char* const*, const char* const*) {
  *made = new Program{source, ""};
  return headers == 0 ? 0 : 3;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
  bool bf16 = false, architecture = false;
  for (int i = 0; i < count; i++) {
    bf16 |= strcmp(options[i], "-DACTIVE_BF16") == 0;
    architecture |= strcmp(options[i], "--gpu-architecture=sm_90") == 0;
  }
  program->image = beside(bf16 ? "kernels-bf16.so" : "kernels-fp32.so");
  return architecture && program->source.find("rms_norm") != std::string::npos ? 0 : 6;
}
int nvrtcGetCUBINSize(Program* program, size_t* bytes) { *bytes = program->image.size() + 1; return 0; }
int nvrtcGetCUBIN(Program* program, char* into) { memcpy(into, program->image.c_str(), program->image.size() + 1); return 0; }
int nvrtcGetProgramLogSize(Program*, size_t* bytes) { *bytes = 1; return 0; }
int nvrtcGetProgramLog(Program*, char* into) { *into = 0; return 0; }
int nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }
}
