package dev.kindling.model;

import dev.kindling.data.TokenBatch;
import dev.kindling.tensor.Arena;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Mutable: the tensors of a step, laid out in one arena for each shape and kept for when the shape
 * comes again.
 *
 * @param <S> a model's own record of a step
 */
public final class StepCache<S> implements AutoCloseable {
  /** Views of a shape not seen for so many others are made anew. */
  private static final int MOST = 64;

  /** Takes all tensors of a step, the same ones each time. */
  public interface Layouter<S> {
    /**
     * Lays out a step of a micro-batch.
     *
     * @param training whether a backward follows
     */
    S lay(Arena.Layout arena, TokenBatch.Shape batch, boolean training);
  }

  private record Shape(TokenBatch.Shape batch, boolean training) {}

  private final Arena arena;
  private final Layouter<S> layouter;
  private final Map<Shape, S> steps =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Shape, S> eldest) {
          return size() > MOST;
        }
      };
  private int generation;

  /**
   * @param arena of the task; models that take turns may share it
   */
  public StepCache(Arena arena, Layouter<S> layouter) {
    this.arena = arena;
    this.layouter = layouter;
  }

  /** The step of a shape; those of other shapes are overwritten by using it. */
  public S of(TokenBatch.Shape batch, boolean training) {
    Shape shape = new Shape(batch, training);
    forgetTheDead();
    S known = steps.get(shape);
    if (known != null) {
      return known;
    }
    S laid = arena.lay(layout -> layouter.lay(layout, batch, training));
    forgetTheDead();
    steps.put(shape, laid);
    return laid;
  }

  /** What a step of a shape needs. */
  public Arena.Size size(TokenBatch.Shape batch, boolean training) {
    return arena.measure(layout -> layouter.lay(layout, batch, training));
  }

  /** Once the arena has moved (or failed to), its earlier layouts point nowhere. */
  private void forgetTheDead() {
    if (generation != arena.generation()) {
      steps.clear();
      generation = arena.generation();
    }
  }

  @Override
  public void close() {
    steps.clear();
  }
}
