package dev.kindling.tensor.cuda;

import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.Tensor;

/**
 * Attention that writes no scores down: {@code flash.cu}, in bf16 and for the sizes of heads that
 * it was written for. Three kernels forward and backward instead of products of matrices in chunks.
 */
record Flash(Kernels kernels) {
  private static final int THREADS = 128;

  /** Queries, or keys, of a block. */
  private static final int TILE = 64;

  /**
   * Rows that a block of keys has in shared memory: keys, values, and twice half a tile of both.
   */
  private static final int SHARED_ROWS = 2 * TILE + 2 * TILE;

  /** Whether there are kernels for it. */
  static boolean fits(AttentionShape s, DType active) {
    int size = s.headSize();
    return active == DType.BF16 && (size == 32 || size == 64 || size == 128);
  }

  /** Real elements: for each query and head, what its probabilities' slopes have in common. */
  static long scratch(AttentionShape s) {
    return (long) s.batch() * s.heads() * s.tokens();
  }

  private static long blocks(AttentionShape s, int rows, int heads) {
    return (long) (rows + TILE - 1) / TILE * s.batch() * heads;
  }

  private static String kernel(String name, AttentionShape s) {
    return "flash_" + name + "_" + s.headSize();
  }

  void forward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context) {
    kernels.inBlocks(
        kernel("forward", s),
        blocks(s, s.tokens(), s.heads()),
        THREADS,
        0,
        q,
        k,
        v,
        starts,
        ends,
        context,
        kept,
        (float) s.scale(),
        s.batch(),
        s.tokens(),
        s.keys(),
        s.heads(),
        s.kvHeads());
  }

  void backward(
      AttentionShape s,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor starts,
      Tensor ends,
      Tensor kept,
      Tensor context,
      Tensor dcontext,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor dots) {
    long queries = scratch(s);
    kernels.overElements(
        "flash_dots",
        queries * Launch.WARP,
        context,
        dcontext,
        dots,
        s.tokens(),
        s.heads(),
        s.headSize(),
        queries);
    kernels.inBlocks(
        kernel("queries", s),
        blocks(s, s.tokens(), s.heads()),
        THREADS,
        0,
        q,
        k,
        v,
        starts,
        ends,
        kept,
        dots,
        dcontext,
        dq,
        (float) s.scale(),
        s.batch(),
        s.tokens(),
        s.keys(),
        s.heads(),
        s.kvHeads());
    kernels.inBlocks(
        kernel("keys", s),
        blocks(s, s.keys(), s.kvHeads()),
        THREADS,
        SHARED_ROWS * s.headSize() * DType.BF16.bytes(),
        q,
        k,
        v,
        starts,
        ends,
        kept,
        dots,
        dcontext,
        dk,
        dv,
        (float) s.scale(),
        s.batch(),
        s.tokens(),
        s.keys(),
        s.heads(),
        s.kvHeads());
  }
}
