// The driver; fake.h.
#include "fake.h"
#include "memory.h"
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <dlfcn.h>
#include <optional>
#include <unistd.h>
#include <vector>
#if __has_include(<cuda.h>)
#include <cuda.h>  // the compiler compares our signatures with the driver's
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

using fake::ask;
using fake::die;
using fake::need;
using Task = std::function<void()>;

// A library of kernels, fake_kernels.cpp.
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
struct CUevent_st { std::optional<Place> place; bool gone = false; };

namespace {
// Bytes of a device.
size_t most() {
  const char* told = getenv("FAKE_CUDA_BYTES");
  return told ? strtoull(told, nullptr, 10) : size_t(16) << 30;
}
size_t allocated = 0;  // of all devices together
thread_local CUcontext current = nullptr;
thread_local CUstream capturing = nullptr;
std::map<uint64_t, size_t> host;  // page-locked memory
const char* (*products)(const Product*) = nullptr;  // of the kernels that were loaded last

void drain(CUstream stream, uint64_t until) {
  while (stream->done < until) {
    const Task task = std::move(stream->todo.front());
    stream->todo.pop_front();
    task();
    stream->done++;
  }
}

CUevent_st& alive(CUevent event) {
  if (event->gone) die("uses an event that is destroyed");
  return *event;
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
}  // namespace

std::recursive_mutex fake::door;

void fake::die(const std::string& why) {
  fprintf(stderr, "fake CUDA: %s\n", why.c_str());
  _exit(3);
}

bool fake::entered() { return current; }

void fake::ask(CUstream stream, Task task) {
  if (!stream) die("work for the default stream, which ours do not wait for");
  if (stream->taken) {
    stream->taken->tasks.push_back(std::move(task));
    return;
  }
  stream->todo.push_back(std::move(task));
  stream->asked++;
  if (stream->eager) drain(stream, stream->asked);
}

void fake::need(uint64_t address, size_t bytes, const char* what) {
  if (!memory::holds(address, bytes)) die(std::string(what) + " touches what is not allocated");
}

const char* fake::multiply(const Product& product) { return products(&product); }

std::string fake::beside(const char* file) {
  Dl_info here;
  dladdr(reinterpret_cast<void*>(&drain), &here);
  const std::string path = here.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + file;
}

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
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext context) { current = context; return CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  NEEDS_CONTEXT;
  const char* path = static_cast<const char*>(image);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) die(dlerror());
  reinterpret_cast<void (*)(bool (*)(uint64_t, uint64_t))>(dlsym(library, "kernels_open"))(memory::holds);
  products = reinterpret_cast<decltype(products)>(dlsym(library, "kernels_multiply"));
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
  ask(stream, [=]() mutable {
    std::vector<void*> values(bits.size());
    for (size_t i = 0; i < bits.size(); i++) values[i] = &bits[i];
    if (const char* wrong = f->module->run(f->name.c_str(), x, threads, shared, values.data())) die(f->name + ": " + wrong);
  });
  return CUDA_SUCCESS;
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
    ask(stream, [=] { need(to, bytes, "an upload"); memcpy((void*)to, copy.data(), bytes); });
    return CUDA_SUCCESS;
  }
  ask(stream, [=] {
    if (!locked(from, bytes)) die("an upload reads what has been given back");
    need(to, bytes, "an upload");
    memcpy((void*)to, from, bytes);
  });
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  if (!locked(to, bytes)) die("copies into memory that is not page-locked");
  ask(stream, [=] {
    if (!locked(to, bytes)) die("copies into what has been given back");
    need(from, bytes, "a copy");
    memcpy(to, (const void*)from, bytes);
  });
  return CUDA_SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  ask(stream, [=] { need(at, bytes, "a clear"); memset((void*)at, value, bytes); });
  return CUDA_SUCCESS;
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
  if (!alive(event).place) return CUDA_SUCCESS;
  const Place place = *event->place;
  ask(stream, [=] { drain(place.stream, place.at); });
  return CUDA_SUCCESS;
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
  alive(event).place = Place{stream, stream->asked};
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event) {
  OUTSIDE;
  if (alive(event).place) drain(event->place->stream, event->place->at);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) {
  NEEDS_CONTEXT;
  alive(event).gone = true;  // and kept, so that a later use is found
  return CUDA_SUCCESS;
}

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
