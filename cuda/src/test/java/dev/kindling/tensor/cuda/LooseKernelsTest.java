package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.kindling.tensor.Backend;
import dev.kindling.tensor.DType;
import dev.kindling.tensor.FrozenMatrix;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.tensor.cpu.CpuMemory;
import dev.kindling.tensor.cpu.Dither;
import dev.kindling.tensor.cpu.Workers;
import dev.kindling.tensor.onednn.OneDnnBackend;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Kernels that the contract does not reach, against their definitions. */
class LooseKernelsTest {
  private final Random random = new Random(3);
  private Shimmed backend = Shimmed.open(Precision.FP32, CudaBackend.MOST_SCORES);

  @AfterEach
  void close() {
    backend.close();
  }

  private Tensor sent(double... values) {
    Tensor tensor = backend.allocate(DType.F32, values.length);
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
      values[i] = floats[i];
    }
    backend.write(tensor, 0, floats, 0, floats.length);
    return tensor;
  }

  private double[] drawn(int n, double scale) {
    return random.doubles(n, -scale, scale).toArray();
  }

  private void same(Tensor found, double[] expected, double tolerance) {
    float[] values = new float[expected.length];
    backend.read(found, values);
    for (int i = 0; i < values.length; i++) {
      assertThat((double) values[i]).as("element %d", i).isCloseTo(expected[i], offset(tolerance));
    }
  }

  /** Ten steps, as PyTorch's documentation writes the algorithm down. */
  @ParameterizedTest
  @CsvSource({"1", "31", "1000"})
  void adamw_someSteps_equalDefinition(int n) {
    double[] p = drawn(n, 1);
    double[] m = new double[n];
    double[] v = new double[n];
    Tensor parameters = sent(p);
    Tensor first = sent(new double[n]);
    Tensor second = sent(new double[n]);
    Kernels kernels = new Kernels(backend.queue());
    for (int t = 1; t <= 10; t++) {
      double[] g = drawn(n, 0.1);
      Tensor gradient = sent(g);
      double correction1 = 1 - Math.pow(0.9, t);
      double correction2 = 1 - Math.pow(0.999, t);
      kernels.overElements(
          "adamw",
          n,
          parameters,
          gradient,
          first,
          second,
          (long) n,
          1e-2f,
          0.9f,
          0.999f,
          1e-8f,
          0.1f,
          (float) correction1,
          (float) correction2);
      for (int i = 0; i < n; i++) {
        p[i] -= 1e-2 * 0.1 * p[i];
        m[i] = 0.9 * m[i] + 0.1 * g[i];
        v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
        p[i] -= 1e-2 * (m[i] / correction1) / (Math.sqrt(v[i] / correction2) + 1e-8);
      }
    }
    same(parameters, p, 2e-5);
    same(first, m, 1e-6);
    same(second, v, 1e-6);
  }

  /** A base that is decoded here and there is the same base. */
  @ParameterizedTest
  @CsvSource({"NF4,true", "NF4,false", "INT8,true", "INT8,false"})
  void codes_anyMatrix_haveTheBitsOfTheCpu(Storage storage, boolean turned) {
    int out = 70;
    int in = 129;
    float[] values = new float[out * in];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    int[] rows = {69, 0, 35};
    float[] here = new float[rows.length * in];
    float[] there = new float[here.length];
    try (Backend cpu = new OneDnnBackend(Precision.FP32, 1)) {
      decoded(cpu, storage, turned, values, rows, here);
    }
    decoded(backend, storage, turned, values, rows, there);
    assertThat(there).containsExactly(here);
  }

  private static void decoded(
      Backend backend, Storage storage, boolean turned, float[] w, int[] rows, float[] into) {
    int in = into.length / rows.length;
    Tensor loaded = backend.allocate(DType.F32, w.length / in, in);
    backend.write(loaded, 0, w, 0, w.length);
    FrozenMatrix codes = backend.coded(storage, turned, w.length / in, in);
    backend.code(loaded, codes);
    Tensor ids = backend.allocate(DType.I32, rows.length);
    backend.write(ids, rows);
    Tensor out = backend.allocate(DType.F32, rows.length, in);
    backend.embed(ids, codes, out, false);
    backend.read(out, into);
    codes.release();
    for (Tensor tensor : new Tensor[] {loaded, ids, out}) {
      backend.free(tensor);
    }
  }

  /** The same rounding as on the CPU, bit by bit: a merged base does not depend on who merges. */
  @Test
  void addDithered_anySum_hasTheBitsOfTheCpu() {
    backend.close();
    backend = Shimmed.open(Precision.BF16, CudaBackend.MOST_SCORES);
    float[] values = new float[37 * 11];
    float[] changes = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
      changes[i] = (float) random.nextGaussian() * 1e-3f;
    }
    Tensor w = backend.allocate(DType.BF16, 37, 11);
    Tensor sum = backend.allocate(DType.BF16, 37, 11);
    backend.write(w, 0, values, 0, values.length);
    backend.write(sum, 0, changes, 0, changes.length);
    new Kernels(backend.queue())
        .overElements("add_dithered", values.length, w, sum, 11, (long) values.length);
    float[] found = new float[values.length];
    backend.read(sum, found);

    Tensor here = CpuMemory.allocate(DType.BF16, 37, 11);
    Tensor there = CpuMemory.allocate(DType.BF16, 37, 11);
    for (int i = 0; i < values.length; i++) {
      CpuMemory.halves(here).put(i, StoredType.BF16.narrow(values[i]));
      CpuMemory.halves(there).put(i, StoredType.BF16.narrow(changes[i]));
    }
    try (Workers workers = new Workers(1)) {
      new Dither(workers).add(here, there);
    }
    for (int i = 0; i < values.length; i++) {
      assertThat(found[i]).isEqualTo(StoredType.BF16.widen(CpuMemory.halves(there).get(i)));
    }
    CpuMemory.free(here);
    CpuMemory.free(there);
  }
}
