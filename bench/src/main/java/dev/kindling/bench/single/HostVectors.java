package dev.kindling.bench.single;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.LinearModule;
import dev.kindling.lora.TargetModules;
import dev.kindling.model.BatchResult;
import dev.kindling.optim.OptimizerSettings;
import dev.kindling.optim.Schedule;
import dev.kindling.train.GradientSum;
import dev.kindling.train.Learners;
import dev.kindling.train.Update;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Mutable: what executor and driver do with the 20 million trainables of a Llama 7B at r = 8 beside
 * the model. On one thread with {@code
 * -jvmArgsAppend=-Djava.util.concurrent.ForkJoinPool.common.parallelism=0}.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class HostVectors {
  private static final int LAYERS = 32;
  private static final int HIDDEN = 4096;
  private static final int INTERMEDIATE = 11008;
  private static final BatchResult RESULT = new BatchResult(1, 1, 2048, 0, 2048, 2048);

  private float[] gradient;
  private float[] trainables;
  private GradientSum sum;
  private ByteBuffer frame;
  private Update update;

  /** Gradients of a bell's shape. */
  @Setup
  public void setUp() {
    List<LinearModule> modules = new ArrayList<>();
    for (int l = 0; l < LAYERS; l++) {
      for (String name : List.of("q", "k", "v", "o")) {
        modules.add(new LinearModule("block." + l + "." + name, HIDDEN, HIDDEN, false, true));
      }
      for (String name : List.of("gate", "up")) {
        modules.add(new LinearModule("block." + l + "." + name, HIDDEN, INTERMEDIATE, false, true));
      }
      modules.add(new LinearModule("block." + l + ".down", INTERMEDIATE, HIDDEN, false, true));
    }
    AdapterLayout layout =
        AdapterLayout.of(
            modules, new AdapterSettings(8, 8, 0, new TargetModules.Blocks(), List.of()));
    gradient = new float[layout.elements()];
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = (float) random.nextGaussian();
    }
    trainables = gradient.clone();
    sum = new GradientSum(layout, GradientSum.firstExponents(layout), 1 << 20);
    sum.add(gradient, RESULT);
    frame = ByteBuffer.wrap(sum.encode());
    update =
        new Update(
            new OptimizerSettings(
                OptimizerSettings.Kind.ADAMW,
                1e-4,
                0.01,
                0.9,
                0.999,
                1e-8,
                new Schedule(Schedule.Curve.CONSTANT, 0, 1 << 20)),
            1,
            layout,
            Learners.ALL);
  }

  /** A micro-batch's gradient to a task's sum. */
  @Benchmark
  public void add() {
    sum.add(gradient, RESULT);
  }

  /** A task's sum to the driver's. */
  @Benchmark
  public void merge() {
    sum.merge(frame.duplicate());
  }

  /** The mean of a step, and what clipping and AdamW make of it. */
  @Benchmark
  public void update() {
    sum.meanGradient(gradient);
    update.apply(trainables, gradient, 7);
  }
}
