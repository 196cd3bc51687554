package dev.kindling.tensor.onednn;

import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.FrozenMatrix.Use;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.KeptMatrix;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: a matrix in bf16, rearranged once for the forward and once for the backward, each when
 * it is first needed. A product rearranges it by itself otherwise, each time: where a core
 * multiplies 430 GFLOP/s, at 4,096 tokens, a fifth of the forward's time, which turns it, and a
 * tenth of the backward's; of a language model's head, which is read for every chunk of tokens,
 * more (bench/results). Shared by all tasks. The matrix as it was loaded stays beside them: rows
 * are looked up in it where it is the embedding too, and merges and row lengths read it.
 *
 * @see KeptMatrix
 */
final class PackedMatrix implements FrozenMatrix {
  /**
   * Rows that the arrangement is chosen for: a constant, for what is summed in which order must not
   * depend on whose batch came first.
   */
  private static final long ROWS = 512;

  /** Blocks of oneDNN's arrangements divide it. */
  private static final long ROUND = 64;

  private final KeptMatrix kept;
  private final DType result;
  private final List<Tensor> packed = new ArrayList<>();
  private @Nullable Operand forward;
  private @Nullable Operand backward;

  PackedMatrix(KeptMatrix kept, Use use) {
    this.kept = kept;
    this.result = use == Use.HEAD ? DType.F32 : kept.active();
  }

  KeptMatrix kept() {
    return kept;
  }

  /** wᵀ [in, out] for y = x·wᵀ. */
  synchronized Operand forward(Elementwise elementwise) {
    if (forward == null) {
      forward = pack(elementwise, Operand.matrix(kept.w()).turned(), result);
    }
    return forward;
  }

  /** w [out, in] for dx = dy·w. */
  synchronized Operand backward(Elementwise elementwise) {
    if (backward == null) {
      backward = pack(elementwise, Operand.matrix(kept.w()), kept.active());
    }
    return backward;
  }

  private Operand pack(Elementwise elementwise, Operand w, DType result) {
    long inner = w.sizes()[0];
    long columns = w.sizes()[1];
    memory.data_type type = Operand.kind(w.type());
    try (memory.desc left = new memory.desc(new long[] {ROWS, inner}, type, strides(inner));
        memory.desc any = new memory.desc(w.sizes(), type, memory.format_tag.any);
        memory.desc below =
            new memory.desc(new long[] {ROWS, columns}, Operand.kind(result), strides(columns));
        primitive_attr attributes = new primitive_attr();
        matmul.primitive_desc description =
            new matmul.primitive_desc(Primitives.CPU, left, any, below, attributes, false)) {
      memory.desc layout = new memory.desc(description.weights_desc());
      long elements = (layout.get_size() + w.type().bytes() - 1) / w.type().bytes();
      Tensor room = CpuMemory.allocate(w.type(), elements);
      packed.add(room);
      long[] distinct = {0, result.bytes()};
      Operand to = new Operand(CpuMemory.address(room), w.type(), w.sizes(), distinct, layout);
      elementwise.copy(w, to);
      return to;
    }
  }

  private static long[] strides(long columns) {
    return new long[] {columns, 1};
  }

  @Override
  public int out() {
    return kept.out();
  }

  @Override
  public int in() {
    return kept.in();
  }

  /** As it was loaded, and both arrangements with what they are rounded up to. */
  @Override
  public long bytes() {
    return kept.bytes() + packedBytes();
  }

  @Override
  public long packedBytes() {
    return 2 * rounded(out()) * rounded(in()) * kept.active().bytes();
  }

  private static long rounded(long size) {
    return (size + ROUND - 1) / ROUND * ROUND;
  }

  @Override
  public synchronized void release() {
    packed.forEach(CpuMemory::free);
    packed.clear();
    forward = null;
    backward = null;
  }
}
