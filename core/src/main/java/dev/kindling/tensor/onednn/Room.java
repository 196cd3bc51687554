package dev.kindling.tensor.onednn;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;

/** Mutable: a small scratch that grows to the largest size asked for and stays. */
final class Room implements AutoCloseable {
  private Tensor held;

  Room(DType type) {
    held = CpuMemory.allocate(type, 1);
  }

  /** The first elements; what was in them before is lost. */
  Tensor of(long elements) {
    if (held.elements() < elements) {
      CpuMemory.free(held);
      held = CpuMemory.allocate(held.type(), elements);
    }
    return held.slice(0, elements);
  }

  @Override
  public void close() {
    CpuMemory.free(held);
  }
}
