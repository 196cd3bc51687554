package dev.kindling.tensor.cuda;

import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cuda.Launch.Address;
import dev.kindling.tensor.cuda.Launch.Argument;
import dev.kindling.tensor.cuda.Launch.Int;
import dev.kindling.tensor.cuda.Launch.Long64;
import dev.kindling.tensor.cuda.Launch.Real;
import java.util.ArrayList;
import java.util.List;

/** Runs kernels with grids that depend on sizes alone, so that sums are formed alike each time. */
final class Kernels {
  private static final int ELEMENT_THREADS = 256;

  /** Blocks beyond this many would only wait: 32 for each of 132 processors. */
  private static final int MOST_BLOCKS = 4224;

  private final WorkQueue queue;

  Kernels(WorkQueue queue) {
    this.queue = queue;
  }

  /** A thread for each of n elements, or several elements for each of many threads. */
  void overElements(String kernel, long n, Object... arguments) {
    if (n == 0) {
      return;
    }
    int threads = (int) Math.min(ELEMENT_THREADS, warps(n));
    int blocks = (int) Math.min(MOST_BLOCKS, (n + threads - 1) / threads);
    queue.run(new Launch(kernel, blocks, threads, 0, values(arguments)));
  }

  /** A block for each row of so many columns. */
  void overRows(String kernel, long rows, int columns, Object... arguments) {
    if (rows == 0) {
      return;
    }
    int threads = (int) Math.min(Launch.MOST_THREADS / 2, warps((columns + 7) / 8));
    queue.run(new Launch(kernel, Math.toIntExact(rows), threads, 0, values(arguments)));
  }

  /** So many blocks of so many threads, each with memory to share. */
  void inBlocks(String kernel, long blocks, int threads, int shared, Object... arguments) {
    queue.run(new Launch(kernel, Math.toIntExact(blocks), threads, shared, values(arguments)));
  }

  /** y [N, d] += bias [d] on every row: y of either type, the bias F32. */
  void addBias(Tensor y, Tensor bias) {
    long n = y.elements();
    overElements("add_bias", n, y, DeviceMemory.code(y.type()), bias, y.columns(), n);
  }

  private static long warps(long threads) {
    return Math.max(1, (threads + Launch.WARP - 1) / Launch.WARP) * Launch.WARP;
  }

  /** Tensors are their addresses; numbers are what they are. */
  private static List<Argument> values(Object... arguments) {
    List<Argument> values = new ArrayList<>();
    for (Object argument : arguments) {
      if (argument instanceof Tensor tensor) {
        values.add(new Address(DeviceMemory.of(tensor)));
      } else if (argument instanceof Argument ready) {
        values.add(ready);
      } else if (argument instanceof Integer number) {
        values.add(new Int(number));
      } else if (argument instanceof Long number) {
        values.add(new Long64(number));
      } else if (argument instanceof Float number) {
        values.add(new Real(number));
      } else {
        throw new IllegalArgumentException("no parameter takes " + argument);
      }
    }
    return values;
  }
}
