package dev.kindling.model;

import dev.kindling.model.Block.Pass;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The blocks of a model, walked up and down.
 *
 * <p>What a block's backward reads is kept from its forward, for every block from the lowest one
 * that learns; or, with recomputation (Chen et al., arXiv:1604.06174), only the input of each block
 * is, and its forward runs once more before its backward: for blocks that keep k times their input,
 * memory falls by nearly k, and a step computes at most a third more. Random masks are functions of
 * their keys, so both ways give the same numbers.
 */
public final class Stack<S, G> {
  private final List<? extends Block<S, G>> blocks;
  private final boolean recompute;

  /** No gradient goes below this block. */
  private final int lowest;

  /** Whether what gives the blocks their input learns. */
  private final boolean below;

  /**
   * @param below whether the gradient of the blocks' input is wanted
   * @param recompute whether only the inputs of blocks are kept
   */
  public Stack(List<? extends Block<S, G>> blocks, boolean below, boolean recompute) {
    this.blocks = List.copyOf(blocks);
    this.recompute = recompute;
    this.below = below;
    int first = 0;
    while (!below && first < blocks.size() && !blocks.get(first).trains()) {
      first++;
    }
    lowest = first;
  }

  /**
   * The tensors of a step.
   *
   * @param saved of each block; those that need not last share their memory
   * @param y output of each block; the same holds
   * @param scratch shared by all blocks; null if there is none
   * @param dy gradient of the last output, to be written before the backward
   * @param dx scratch of the same size
   */
  public record Step<S, G>(
      List<S> saved, List<Tensor> y, @Nullable G scratch, Tensor dy, Tensor dx) {
    /** What the last block gives [N, d], or x, if there is no block. */
    public Tensor last(Tensor x) {
      return y.isEmpty() ? x : y.get(y.size() - 1);
    }
  }

  /** Whether the gradient of the last output is wanted. */
  public boolean trains() {
    return below || lowest < blocks.size();
  }

  /** Takes the tensors that stay from forward to backward, and after them those that do not. */
  public Step<S, G> lay(Arena.Layout arena, AttentionShape shape, int hidden, boolean training) {
    long n = (long) shape.batch() * shape.tokens();
    List<Function<Arena.Layout, S>> savers = new ArrayList<>();
    List<Tensor> y = new ArrayList<>();
    for (int l = 0; l < blocks.size(); l++) {
      Block<S, G> block = blocks.get(l);
      savers.add(layout -> block.save(layout, shape));
      y.add(l < 2 || keeps(l + 1, training) ? arena.active(n, hidden) : y.get(l - 2));
    }
    int firstKept = training && !recompute ? lowest : blocks.size();
    List<S> saved = new ArrayList<>(arena.inTurn(savers.subList(0, firstKept)));
    savers.subList(firstKept, savers.size()).forEach(saver -> saved.add(saver.apply(arena)));
    arena.endOfActivations();
    long gradients = training ? n : 0;
    return new Step<>(
        saved,
        y,
        blocks.isEmpty() ? null : blocks.get(0).scratch(arena, shape),
        arena.active(gradients, hidden),
        arena.active(gradients, hidden));
  }

  private boolean keeps(int block, boolean training) {
    return training && block >= lowest;
  }

  /** Runs all blocks on x [N, d]. */
  public void forward(Pass pass, Tensor x, Step<S, G> step) {
    for (int l = 0; l < blocks.size(); l++) {
      forward(l, pass, x, step);
    }
  }

  /** Runs one block: for callers whose pass differs from block to block. */
  public void forward(int l, Pass pass, Tensor x, Step<S, G> step) {
    blocks.get(l).forward(pass, input(l, x, step), step.saved.get(l), step.y.get(l), step.scratch);
  }

  private static Tensor input(int l, Tensor x, Step<?, ?> step) {
    return l == 0 ? x : step.y.get(l - 1);
  }

  /**
   * From the gradient in {@code step.dy}, writes those of all layers.
   *
   * @return the gradient of x, or null if it is not wanted
   */
  public @Nullable Tensor backward(Pass pass, Tensor x, Step<S, G> step) {
    Tensor dy = step.dy;
    Tensor dx = step.dx;
    for (int l = blocks.size() - 1; l >= lowest; l--) {
      if (recompute && l < blocks.size() - 1) { // the last one's are still there
        forward(l, pass, x, step);
      }
      boolean wanted = l > lowest || below;
      blocks
          .get(l)
          .backward(
              pass, input(l, x, step), step.saved.get(l), dy, wanted ? dx : null, step.scratch);
      Tensor swap = dy;
      dy = dx;
      dx = swap;
    }
    return below ? dy : null;
  }
}
