package dev.kindling.tensor.cpu;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

/**
 * An fp32 backend whose merged weights alone are rounded to bf16, on any CPU: what that rounding by
 * itself does to training.
 */
public final class RoundedMerges {
  private RoundedMerges() {}

  /**
   * Wraps a backend of one thread.
   *
   * @param dithers whether as {@link Dither} has it, or else to nearest
   */
  public static Backend of(Backend fp32, boolean dithers) {
    return (Backend)
        Proxy.newProxyInstance(
            RoundedMerges.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, a) -> {
              try {
                if (!method.getName().equals("merge")) {
                  return method.invoke(fp32, a);
                }
                Tensor into = (Tensor) a[4];
                fp32.matmul((Tensor) a[1], false, (Tensor) a[2], false, (double) a[3], 0, into);
                round(((KeptMatrix) a[0]).w(), into, dithers);
                return null;
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }

  /** The sum of both takes the place of the second. */
  private static void round(Tensor w, Tensor changes, boolean dithers) {
    Tensor weights = halved(w);
    Tensor sums = halved(changes);
    Elements exact = Elements.of(changes);
    if (dithers) {
      try (Workers one = new Workers(1)) {
        new Dither(one).add(weights, sums);
      }
    }
    for (int i = 0; i < w.elements(); i++) {
      float nearest =
          StoredType.BF16.widen(StoredType.BF16.narrow(Elements.of(w).get(i) + exact.get(i)));
      exact.put(i, dithers ? Elements.of(sums).get(i) : nearest);
    }
    CpuMemory.free(weights);
    CpuMemory.free(sums);
  }

  private static Tensor halved(Tensor real) {
    Tensor half = CpuMemory.allocate(DType.BF16, real.shape());
    Elements from = Elements.of(real);
    Elements to = Elements.of(half);
    for (int i = 0; i < real.elements(); i++) {
      to.put(i, from.get(i));
    }
    return half;
  }
}
