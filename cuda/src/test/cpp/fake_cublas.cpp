// cublasLt; fake.h. It stores columns, so that what is a matrix to it is the transposed one to a Product.
#include "fake.h"
#include <cstring>

using fake::die;

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
int cublasLtCreate(void** handle) { *handle = new int; return fake::entered() ? 0 : 1; }
int cublasLtDestroy(void* handle) { delete static_cast<int*>(handle); return 0; }
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
int cublasLtMatmulPreferenceDestroy(Preference* p) { delete p; return 0; }
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
  // The real one has none for some such products: none of ours may count on it.
  if (d->epilogue == 4 && (m % 8 || k % 8 || n == 1)) return kUnsupported;
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
    const Algorithm* algorithm, void* workspace, size_t workspaceBytes, CUstream_st* stream) {
  ENTER;
  if (!fake::entered()) return 1;
  if (c != into || before != result) die("a product into another matrix");
  if (algorithm->data[0] != kind(*d, *left, *right, *result)) die("an algorithm for another kind of product");
  const void* pointers[] = {a, b, c, into};
  for (int i = 0; i < 4; i++) {
    if (reinterpret_cast<uint64_t>(pointers[i]) % algorithm->data[1 + i]) die("an algorithm for better aligned matrices");
  }
  if (d->epilogue == 4 && (d->bias == 0 || d->bias % 16)) die("a bias that is nowhere, or begins anywhere");
  const Product product = {uint8_t(d->compute == 77), operand(b, *right, d->turned[1]), operand(a, *left, d->turned[0]),
      operand(into, *result, 0), *alpha, *beta, uint32_t(result->batch), d->epilogue == 4 ? d->bias : 0};
  fake::ask(stream, [=] {
    fake::need(reinterpret_cast<uint64_t>(workspace), workspaceBytes, "a workspace");
    memset(workspace, 0xff, 256);
    if (const char* wrong = fake::multiply(product)) die(std::string("a product: ") + wrong);
  });
  return 0;
}
}
