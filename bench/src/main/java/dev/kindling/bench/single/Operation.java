package dev.kindling.bench.single;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Mutable: what all benchmarks share. JMH fills the fields that are parameters. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public abstract class Operation {
  /** Backend and precision. */
  @Param({"onednn-fp32", "onednn-bf16", "nd4j-fp32"})
  String side = "";

  /** Of each operation. */
  @Param("2")
  int threads;

  private Workbench bench;

  /** Takes the tensors of the operation. */
  abstract void open(Workbench fresh);

  /** Opens the backend. */
  @Setup(Level.Trial)
  public final void setUp() {
    bench = new Workbench(side, threads);
    open(bench);
  }

  /** Frees all. */
  @TearDown(Level.Trial)
  public final void tearDown() {
    bench.close();
  }
}
