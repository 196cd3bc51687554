package dev.kindling.nn;

import dev.kindling.lora.Halves;
import dev.kindling.lora.Parameter.Role;
import dev.kindling.lora.plan.BackwardPlan.Gradient;
import dev.kindling.lora.plan.BackwardPlan.InputGradient;
import dev.kindling.lora.plan.ForwardPlan;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PairShape;
import dev.kindling.tensor.Arena;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Tensor;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A frozen layer beside a trained low-rank pair (Hu et al., arXiv:2106.09685).
 *
 * <p>With s = alpha / r and x̃ = dropout(x) (x itself without dropout):
 *
 * <pre>
 *   y  [N, out] = x·wᵀ + bias + s·p·bᵀ,  p [N, r] = x̃·aᵀ
 *   z  [N, r]   = s·dy·b
 *   da [r, in]  = zᵀ·x̃                   db [out, r] = s·dyᵀ·p
 *   dx [N, in]  = dy·w + dropout(z·a)
 * </pre>
 *
 * <p>Beside others that read the same x, p and z are turned, [r, N], so that those of all lie
 * behind each other ({@link SharedInput}).
 *
 * <p>In which order these products are formed, and whether some of them as one with w + s·b·a or by
 * way of dyᵀ·x̃, is the {@link PairPlan} that the chooser gives for the sizes of a step.
 *
 * @param w [out, in]
 * @param bias [out], or null
 * @param a [r, in]
 * @param b [out, r]
 * @param da gradient of a
 * @param db gradient of b
 * @param scale s
 * @param dropout share of x dropped before a, in training
 * @param number of the layer within the model, for its random masks
 * @param halves whose gradients are wanted; that of the other is zero
 * @param sampled how gradients go on through w, if not exactly
 * @param plans for the sizes of a step, always the same for the same sizes
 */
record LoraLinear(
    Backend backend,
    FrozenMatrix w,
    @Nullable Tensor bias,
    Tensor a,
    Tensor b,
    Tensor da,
    Tensor db,
    double scale,
    double dropout,
    long number,
    Halves halves,
    @Nullable Sampled sampled,
    Function<PairShape, PairPlan> plans)
    implements Linear {
  @Override
  public boolean trains() {
    return true;
  }

  /** r. */
  int rank() {
    return a.rows();
  }

  private boolean drops() {
    return dropout > 0;
  }

  /** Whether its products are of x itself, and dx is exact. */
  boolean plain() {
    return !drops() && sampled == null;
  }

  /** Of a step with so many rows. */
  PairShape shape(int rows) {
    return sampled == null
        ? new PairShape(rows, w.in(), w.out(), rank(), halves)
        : new PairShape(rows, w.in(), w.out(), rank(), sampled.kept(), sampled.exact(), halves);
  }

  private PairPlan plan(int rows) {
    return plans.apply(shape(rows));
  }

  /** Projections of x and of dy, dropped inputs, what is as large as w, and what samples it. */
  @Override
  public long scratch(int rows) {
    long dropped = drops() ? (long) rows * w.in() : 0;
    long sampling = sampled == null ? 0 : sampled.scratch(rows);
    return 2L * rows * rank() + dropped + plan(rows).scratchElements(shape(rows)) + sampling;
  }

  @Override
  public Saved save(Arena.Layout arena, int rows) {
    PairPlan plan = plan(rows);
    return new Saved(plan, plan.keepsProjection() ? arena.active(rows, rank()) : null, null);
  }

  /** The parts of one call's scratch. */
  Parts parts(Tensor room, int rows) {
    return new Parts(room, rows);
  }

  /** The scratch of one call, in parts; the last two may be beyond what the plan has taken. */
  final class Parts {
    private final Tensor room;
    private final int rows;

    private Parts(Tensor room, int rows) {
      this.room = room;
      this.rows = rows;
    }

    Tensor projection() {
      return room.slice(0, rows, rank());
    }

    Tensor gradientProjection() {
      return room.slice((long) rows * rank(), rows, rank());
    }

    Tensor inputs() {
      return room.slice(2L * rows * rank(), rows, w.in());
    }

    private long afterInputs() {
      return 2L * rows * rank() + (drops() ? (long) rows * w.in() : 0);
    }

    Tensor merged() {
      return room.slice(afterInputs(), w.out(), w.in());
    }

    /** Behind the merged weight, if that is taken too. */
    Tensor weightGradient(PairPlan plan) {
      long from = afterInputs() + (plan.merges() ? (long) w.out() * w.in() : 0);
      return room.slice(from, w.out(), w.in());
    }

    /** All that is behind them. */
    Tensor rest(PairPlan plan) {
      long from = afterInputs() + plan.scratchElements(shape(rows));
      return room.slice(from, room.elements() - from);
    }
  }

  @Override
  public void forward(Tensor x, Tensor y, Saved saved, Scratch scratch, boolean training) {
    Parts parts = parts(scratch.room(), x.rows());
    PairPlan plan = saved.plan();
    Tensor p = plan.keepsProjection() ? kept(x, saved) : parts.projection();
    if (!plan.forward().merges()) {
      project(training ? dropped(x, parts, scratch) : x, p);
    }
    forward(plan.forward(), x, p, false, y, parts);
  }

  private void project(Tensor inputs, Tensor p) {
    backend.matmul(inputs, false, a, true, 1, 0, p); // [N, in]·[in, r]
  }

  /**
   * y of x.
   *
   * @param p x̃·aᵀ, if the plan reads it
   * @param turned whether p is [r, N]
   */
  void forward(ForwardPlan plan, Tensor x, Tensor p, boolean turned, Tensor y, Parts parts) {
    if (plan.merges()) {
      backend.merge(w, b, a, scale, parts.merged());
      backend.matmul(x, false, parts.merged(), true, 1, 0, y); // [N, in]·[in, out]
      if (bias != null) {
        backend.addBias(y, bias);
      }
      return;
    }
    boolean baseFirst = plan == ForwardPlan.FACTORED;
    if (baseFirst) {
      backend.linear(x, w, bias, y, false);
    }
    backend.matmul(p, turned, b, true, scale, baseFirst ? 1 : 0, y); // [N, r]·[r, out]
    if (!baseFirst) {
      backend.linear(x, w, bias, y, true);
    }
  }

  @Override
  public void backward(
      Tensor x,
      Saved saved,
      Tensor dy,
      @Nullable Tensor dx,
      boolean accumulate,
      Scratch scratch,
      boolean more) {
    Parts parts = parts(scratch.room(), x.rows());
    PairPlan plan = saved.plan();
    Tensor inputs = dropped(x, parts, scratch);
    Tensor p = plan.keepsProjection() ? kept(x, saved) : parts.projection();
    if (plan.projectsAgain(halves)) {
      project(inputs, p);
    }
    Tensor z = parts.gradientProjection();
    gradients(plan, inputs, dy, p, z, false, dx != null, more, parts);
    if (plan.backward().da() == Gradient.PROJECTION && halves.learn(Role.A)) {
      backend.matmul(z, true, inputs, false, 1, more ? 1 : 0, da); // [r, N]·[N, in]
    }
    if (sampled != null) {
      sampled.score(backend, dy, more);
    }
    if (dx == null) {
      return;
    }
    if (sampled == null) {
      inputGradient(plan, dy, dx, accumulate, parts);
    } else {
      sampled.inputGradient(backend, dy, dx, accumulate, parts.rest(plan));
    }
    if (plan.backward().dx() == InputGradient.SPLIT) {
      branch(z, dx, parts, scratch);
    }
  }

  /**
   * The gradient of b, that of a where it comes from that of w, and z where it is read.
   *
   * @param p x̃·aᵀ, if the plan reads it
   * @param turned whether p and z are [r, N]
   * @param below whether dx is wanted
   */
  void gradients(
      PairPlan plan,
      Tensor inputs,
      Tensor dy,
      Tensor p,
      Tensor z,
      boolean turned,
      boolean below,
      boolean more,
      Parts parts) {
    double beta = more ? 1 : 0;
    if (plan.backward().formsWeightGradient(halves)) {
      Tensor g = parts.weightGradient(plan);
      backend.matmul(dy, true, inputs, false, 1, 0, g); // [out, N]·[N, in]
    }
    if (!halves.learn(Role.B)) {
      backend.zero(db);
    } else if (plan.backward().db() == Gradient.PROJECTION) {
      backend.matmul(dy, true, p, turned, scale, beta, db); // [out, N]·[N, r]
    } else {
      Tensor g = parts.weightGradient(plan);
      backend.matmul(g, false, a, true, scale, beta, db); // [out, in]·[in, r]
    }
    if (plan.backward().projectsGradient(halves, below)) {
      if (turned) {
        backend.matmul(b, true, dy, true, scale, 0, z); // [r, out]·[out, N]
      } else {
        backend.matmul(dy, false, b, false, scale, 0, z); // [N, out]·[out, r]
      }
    }
    if (!halves.learn(Role.A)) {
      backend.zero(da);
    } else if (plan.backward().da() == Gradient.WEIGHT) {
      Tensor g = parts.weightGradient(plan);
      backend.matmul(b, true, g, false, scale, beta, da); // [r, out]·[out, in]
    }
  }

  /** dx = dy·(w + s·b·a), or without the pair's branch, as the plan says; or +=. */
  void inputGradient(PairPlan plan, Tensor dy, Tensor dx, boolean accumulate, Parts parts) {
    if (plan.backward().dx() == InputGradient.MERGED) {
      backend.merge(w, b, a, scale, parts.merged());
      backend.matmul(dy, false, parts.merged(), false, 1, accumulate ? 1 : 0, dx);
    } else {
      backend.linearBackward(dy, w, dx, accumulate); // [N, out]·[out, in]
    }
  }

  private void branch(Tensor z, Tensor dx, Parts parts, Scratch scratch) {
    if (!drops()) {
      backend.matmul(z, false, a, false, 1, 1, dx); // [N, r]·[r, in]
      return;
    }
    Tensor branch = parts.inputs();
    backend.matmul(z, false, a, false, 1, 0, branch);
    backend.dropout(branch, scratch.keys(), number, dropout, branch);
    backend.add(dx, branch, dx);
  }

  /** The projection of these rows, which may be fewer than there is room for. */
  private Tensor kept(Tensor x, Saved saved) {
    return saved.p().rows() == x.rows() ? saved.p() : saved.p().slice(0, x.rows(), rank());
  }

  private Tensor dropped(Tensor x, Parts parts, Scratch scratch) {
    if (!drops()) {
      return x;
    }
    Tensor dropped = parts.inputs();
    backend.dropout(x, scratch.keys(), number, dropout, dropped);
    return dropped;
  }
}
