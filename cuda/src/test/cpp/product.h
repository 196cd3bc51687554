// A matrix product as devices on the CPU take it.
#pragma once
#include <cstdint>

// A row-major matrix; type 0 is float, 1 bf16.
struct Operand { uint64_t address; uint32_t type, rows, columns; uint64_t leading, stride; uint8_t turned; } __attribute__((packed));

// c = alpha · op(a) · op(b) + beta · c + bias for each of the batch; no bias where its address is 0.
struct Product { uint8_t tf32; Operand a, b, c; double alpha, beta; uint32_t batch; uint64_t bias; } __attribute__((packed));
