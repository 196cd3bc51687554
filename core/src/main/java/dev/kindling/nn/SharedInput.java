package dev.kindling.nn;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.plan.BackwardPlan.Gradient;
import dev.kindling.lora.plan.BackwardPlan.InputGradient;
import dev.kindling.lora.plan.JoinedPlan;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Layers that read the same x [N, in]: query, key and value, or gate and up. What their pairs
 * multiply x, or a gradient of x, with is one product for all of them: with A [R, in] the a of each
 * behind each other,
 *
 * <pre>
 *   p  [R, N]  = A·xᵀ,  a part of its rows for each
 *   dA [R, in] = z·x    with z [R, N] the z of each
 *   dx [N, in] += zᵀ·A
 * </pre>
 *
 * <p>x is then read once, not once for each, and dx written once: on Zen 5 these take 0.43 to 0.73
 * of the time of a product for each layer at rank 8, and 0.86 to 1.01 at rank 128
 * (bench/results/onednn.md). The products with frozen matrices gain next to nothing by it and stay
 * apart.
 *
 * <p>Each is computed by itself where {@link JoinedPlan} says so, and always one that has dropout
 * or magnitudes, or whose gradient goes on through a part of the weight.
 */
public final class SharedInput implements UsesScratch {
  private final Backend backend;
  private final List<Linear> layers;

  /** Those that can be computed together. */
  private final List<LoraLinear> pairs = new ArrayList<>();

  /** First of the ranks of each layer's pair among those of all; −1 where it has none of these. */
  private final int[] first;

  private final int in;

  /** Of all pairs. */
  private final int rank;

  /**
   * @param layers of the same input, at least one
   */
  public SharedInput(Backend backend, Linear... layers) {
    this.backend = backend;
    this.layers = List.of(layers);
    this.first = new int[layers.length];
    int ranks = 0;
    for (int i = 0; i < layers.length; i++) {
      first[i] = -1;
      if (layers[i] instanceof LoraLinear pair && pair.plain()) {
        pairs.add(pair);
        first[i] = ranks;
        ranks += pair.rank();
      }
    }
    this.rank = ranks;
    this.in = pairs.isEmpty() ? 0 : pairs.get(0).w().in();
  }

  /** Of some of a model's layers, by name. */
  public static SharedInput of(Backend backend, Map<String, Linear> all, List<String> names) {
    return new SharedInput(backend, names.stream().map(all::get).toArray(Linear[]::new));
  }

  /**
   * What the backward reads besides x.
   *
   * @param plan of all pairs; null if each is computed by itself
   * @param p their projections [R, N]; null if they are not kept
   * @param each of the layers that are computed by themselves
   */
  public record Saved(@Nullable PairPlan plan, @Nullable Tensor p, List<Linear.Saved> each) {}

  /** Whether anything here learns. */
  public boolean trains() {
    return layers.stream().anyMatch(Linear::trains);
  }

  /** The plan by which all pairs are computed together; null if they are not. */
  private @Nullable PairPlan plan(int rows) {
    List<PairShape> shapes = pairs.stream().map(pair -> pair.shape(rows)).toList();
    return shapes.isEmpty() ? null : JoinedPlan.of(shapes, pairs.get(0).plans()).orElse(null);
  }

  /** Whether a layer is computed by itself. */
  private boolean alone(int layer, @Nullable PairPlan plan) {
    return plan == null || first[layer] < 0;
  }

  /** p, z and A, and behind them what a layer needs for itself. */
  @Override
  public long scratch(int rows) {
    long own = plan(rows) == null ? 0 : own(rows);
    return own + layers.stream().mapToLong(layer -> layer.scratch(rows)).max().orElse(0);
  }

  private long own(int rows) {
    return (2L * rows + in) * rank;
  }

  /** dA. */
  @Override
  public long sums() {
    return pairs.size() > 1 ? (long) rank * in : 0;
  }

  /** Takes what a step with {@code rows} rows keeps. */
  public Saved save(Arena.Layout arena, int rows) {
    PairPlan plan = plan(rows);
    boolean keeps = plan != null && plan.keepsProjection();
    List<Linear.Saved> each = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      each.add(alone(i, plan) ? layers.get(i).save(arena, rows) : Linear.Saved.NOTHING);
    }
    return new Saved(plan, keeps ? arena.active(rank, rows) : null, each);
  }

  /** The scratch of one call. */
  private record Together(Tensor p, Tensor z, Tensor a, Linear.Scratch each) {}

  private Together parts(Saved saved, Linear.Scratch scratch, int rows) {
    Tensor room = scratch.room();
    Tensor p = (saved.p == null ? room : saved.p).slice(0, rank, rows);
    return new Together(
        p,
        room.slice((long) rank * rows, rank, rows),
        room.slice(2L * rank * rows, rank, in),
        scratch.behind(own(rows)));
  }

  /** The a of all pairs behind each other. */
  private Tensor stacked(Tensor into) {
    int from = 0;
    for (LoraLinear pair : pairs) {
      backend.convert(pair.a(), rows(into, from, pair));
      from += pair.rank();
    }
    return into;
  }

  /** A pair's rows of what belongs to all. */
  private static Tensor rows(Tensor all, int from, LoraLinear pair) {
    return all.slice((long) from * all.columns(), pair.rank(), all.columns());
  }

  /**
   * Writes the output of each layer.
   *
   * @param ys in the order of the layers
   * @param training whether dropout applies
   */
  public void forward(
      Tensor x, List<Tensor> ys, Saved saved, Linear.Scratch scratch, boolean training) {
    PairPlan plan = saved.plan;
    Together parts = plan == null ? null : parts(saved, scratch, x.rows());
    if (plan != null && !plan.forward().merges()) {
      backend.matmul(stacked(parts.a), false, x, true, 1, 0, parts.p); // [R, in]·[in, N]
    }
    Linear.Scratch each = plan == null ? scratch : parts.each;
    for (int i = 0; i < layers.size(); i++) {
      if (alone(i, plan)) {
        layers.get(i).forward(x, ys.get(i), saved.each.get(i), each, training);
      } else {
        LoraLinear pair = (LoraLinear) layers.get(i);
        LoraLinear.Parts own = pair.parts(each.room(), x.rows());
        pair.forward(plan.forward(), x, rows(parts.p, first[i], pair), true, ys.get(i), own);
      }
    }
  }

  /**
   * Writes the layers' gradients and, if wanted, dx.
   *
   * @param dys in the order of the layers
   * @param dx null if nothing below learns
   */
  public void backward(
      Tensor x, Saved saved, List<Tensor> dys, @Nullable Tensor dx, Linear.Scratch scratch) {
    PairPlan plan = saved.plan;
    Together parts = plan == null ? null : parts(saved, scratch, x.rows());
    if (plan != null) {
      before(plan, x, parts, dx != null);
    }
    Linear.Scratch each = plan == null ? scratch : parts.each;
    for (int i = 0; i < layers.size(); i++) {
      boolean adds = i > 0;
      if (alone(i, plan)) {
        layers.get(i).backward(x, saved.each.get(i), dys.get(i), dx, adds, each);
        continue;
      }
      LoraLinear pair = (LoraLinear) layers.get(i);
      LoraLinear.Parts own = pair.parts(each.room(), x.rows());
      Tensor p = rows(parts.p, first[i], pair);
      Tensor z = rows(parts.z, first[i], pair);
      pair.gradients(plan, x, dys.get(i), p, z, true, dx != null, false, own);
      if (dx != null) {
        pair.inputGradient(plan, dys.get(i), dx, adds, own);
      }
    }
    if (plan != null) {
      after(plan, x, parts, dx, scratch.sums());
    }
  }

  private Halves halves() {
    return pairs.get(0).halves();
  }

  /** A, and p if it is formed again. */
  private void before(PairPlan plan, Tensor x, Together parts, boolean below) {
    boolean again = plan.projectsAgain(halves());
    if (again || (below && plan.backward().dx() == InputGradient.SPLIT)) {
      stacked(parts.a);
    }
    if (again) {
      backend.matmul(parts.a, false, x, true, 1, 0, parts.p); // [R, in]·[in, N]
    }
  }

  /** What comes of z. */
  private void after(PairPlan plan, Tensor x, Together parts, @Nullable Tensor dx, Tensor sums) {
    if (halves().learn(Role.A) && plan.backward().da() == Gradient.PROJECTION) {
      Tensor all = sums.slice(0, rank, in);
      backend.matmul(parts.z, false, x, false, 1, 0, all); // [R, N]·[N, in]
      int from = 0;
      for (LoraLinear pair : pairs) {
        backend.convert(rows(all, from, pair), pair.da());
        from += pair.rank();
      }
    }
    if (dx != null && plan.backward().dx() == InputGradient.SPLIT) {
      backend.matmul(parts.z, true, parts.a, false, 1, 1, dx); // [N, R]·[R, in]
    }
  }
}
