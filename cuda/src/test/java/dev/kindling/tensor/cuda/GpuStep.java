package dev.kindling.tensor.cuda;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.Example;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.TargetModules;
import dev.kindling.lora.plan.PairPlan;
import dev.kindling.lora.plan.PlanChooser;
import dev.kindling.model.BatchResult;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.load.Families;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.Backend;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.Storage;
import dev.kindling.tensor.StoredType;
import dev.kindling.tensor.Tensor;
import dev.kindling.train.GradientSum;
import dev.kindling.train.MicroBatches;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * Steps of a Llama-shaped model with random weights (one block of random numbers, over and over):
 * from a batch to the adapters' gradient on the host, which is what an executor does.
 *
 * @param model a name of {@link #SHAPES}
 * @param rank of the pairs on all seven projections; alpha is the same
 * @param tokens of a row
 * @param rows of the batch
 * @param plans {@code flops}, or the id of a plan for all pairs: {@code f1kb1} is what PEFT
 *     computes
 */
record GpuStep(String model, int rank, int tokens, int rows, String plans) {
  private static final int VOCABULARY = 32_000;
  private static final int PIECE = 4 << 20;
  private static final int WARM = 4;
  private static final int TIMED = 12;

  /** Hidden and intermediate sizes, layers, heads, heads of keys. */
  private static final Map<String, List<Integer>> SHAPES =
      Map.of(
          "tiny", List.of(64, 176, 2, 2, 2), // to check this check
          "60M", List.of(512, 1376, 8, 8, 8),
          "250M", List.of(768, 2560, 24, 12, 12),
          "1.3B", List.of(2048, 5461, 24, 32, 32),
          "7B", List.of(4096, 11008, 32, 32, 32),
          "llama3-8B", List.of(4096, 14336, 32, 32, 8));

  /** {@code NAME r=8 tokens=2048 rows=1 plans=flops}. */
  static GpuStep of(String... words) {
    return new GpuStep(
        words[0], number(words[1]), number(words[2]), number(words[3]), words[4].substring(6));
  }

  private static int number(String word) {
    return Integer.parseInt(word.substring(word.indexOf('=') + 1));
  }

  private ModelPlan plan() {
    List<Integer> shape = SHAPES.get(model);
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("model_type", "llama").put("hidden_size", shape.get(0));
    config.put("intermediate_size", shape.get(1)).put("num_hidden_layers", shape.get(2));
    config.put("num_attention_heads", shape.get(3)).put("num_key_value_heads", shape.get(4));
    config.put("vocab_size", VOCABULARY).put("max_position_embeddings", 8192);
    config.put("hidden_act", "silu").put("rms_norm_eps", 1e-6).put("tie_word_embeddings", false);
    return Families.plan(config, 1);
  }

  private AdapterLayout layout(ModelPlan plan) {
    return AdapterLayout.of(
        plan.linears(), new AdapterSettings(rank, rank, 0, new TargetModules.Blocks(), List.of()));
  }

  private PlanChooser chooser() {
    return plans.equals("flops")
        ? new PlanChooser.FewestFlops()
        : new PlanChooser.Fixed(PairPlan.of(plans).orElseThrow());
  }

  private TokenBatch batch(ModelPlan plan) {
    List<Example> examples = new ArrayList<>();
    SplittableRandom random = new SplittableRandom(1);
    for (int row = 0; row < rows; row++) {
      int[] ids = random.ints(tokens, 1, VOCABULARY).toArray();
      examples.add(new Example(row, ids, ids));
    }
    return TokenBatch.of(examples, plan.rules());
  }

  private static FrozenWeights load(Backend backend, List<WeightSlot> slots) {
    ByteBuffer random = ByteBuffer.allocate(2 * PIECE).order(ByteOrder.LITTLE_ENDIAN);
    SplittableRandom numbers = new SplittableRandom(0);
    while (random.hasRemaining()) {
      random.putShort(StoredType.BF16.narrow((float) (0.02 * numbers.nextGaussian())));
    }
    FrozenWeights.Loader loader = new FrozenWeights.Loader(backend, slots, Storage.FP32);
    for (WeightSlot slot : slots) {
      long elements = Tensor.elements(slot.shape());
      for (long from = 0; from < elements; from += PIECE) {
        int count = (int) Math.min(PIECE, elements - from);
        ByteBuffer piece = random.slice(0, 2 * count).order(ByteOrder.LITTLE_ENDIAN);
        if (!slot.matrix()) { // a norm's gains
          piece = ByteBuffer.allocate(2 * count).order(ByteOrder.LITTLE_ENDIAN);
          while (piece.hasRemaining()) {
            piece.putShort(StoredType.BF16.narrow(1));
          }
          piece.flip();
        }
        loader.accept(slot, from, piece, StoredType.BF16);
      }
    }
    return loader.finish();
  }

  /** A as wide as PEFT's, B zero: where training begins. */
  private static float[] start(AdapterLayout layout) {
    float[] vector = new float[layout.elements()];
    SplittableRandom random = new SplittableRandom(2);
    for (Parameter p : layout.parameters()) {
      if (p.role() == Parameter.Role.A) {
        double bound = 1 / Math.sqrt((double) p.shape()[1]);
        for (int i = 0; i < p.elements(); i++) {
          vector[p.offset() + i] = (float) random.nextDouble(-bound, bound);
        }
      }
    }
    return vector;
  }

  /** A model and what it is stepped with. */
  private final class Opened implements AutoCloseable {
    final Backend backend;
    final AdapterLayout layout;
    final FrozenWeights weights;
    final Trainables trainables;
    final Model net;
    final TokenBatch batch;
    final float[] gradient;

    Opened(WorkQueue queue) {
      backend = new CudaBackend(Precision.BF16, queue, CudaBackend.MOST_SCORES);
      ModelPlan plan = plan();
      layout = layout(plan);
      weights = load(backend, plan.weights(layout));
      trainables = new Trainables(backend, layout, chooser());
      net = plan.build(backend, weights, trainables, false);
      batch = batch(plan);
      gradient = new float[layout.elements()];
      net.load(start(layout));
    }

    double step() {
      BatchResult result = net.gradient(batch, gradient);
      return result.loss() / result.targets();
    }

    /** Milliseconds of steps, the shortest first. */
    double[] times() {
      for (int i = 1; i < WARM; i++) {
        step();
      }
      double[] ms = new double[TIMED];
      for (int i = 0; i < TIMED; i++) {
        long from = System.nanoTime();
        step();
        ms[i] = (System.nanoTime() - from) / 1e6;
      }
      Arrays.sort(ms);
      return ms;
    }

    /** Of a micro-batch in a task's step, which adds them up. */
    double msWithSums() {
      GradientSum sum = new GradientSum(layout, GradientSum.firstExponents(layout), WARM + TIMED);
      MicroBatches inTurn = new MicroBatches(net, gradient.length);
      inTurn.each(Collections.nCopies(WARM, batch).iterator(), sum::add);
      long from = System.nanoTime();
      inTurn.each(Collections.nCopies(TIMED, batch).iterator(), sum::add);
      double ms = (System.nanoTime() - from) / 1e6 / TIMED;
      return sum.fits() ? ms : Double.NaN; // what is too large has not been added
    }

    @Override
    public void close() {
      net.close();
      weights.close();
      backend.close();
    }
  }

  /** FLOP of a step, as docs/gpu.md counts them. */
  private double flops() {
    List<Integer> s = SHAPES.get(model);
    double hidden = s.get(0);
    double kv = hidden * s.get(4) / s.get(3);
    double block = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * s.get(1);
    double widths = 4 * hidden + 2 * (hidden + kv) + 3 * (hidden + s.get(1));
    double perToken =
        4 * (block * s.get(2) + hidden * VOCABULARY)
            + 6 * rank * widths * s.get(2)
            + 7.0 * tokens * hidden * s.get(2);
    return perToken * tokens * rows;
  }

  /**
   * What it will take of a device, laid out without one, in MiB.
   *
   * @param weights frozen ones, and what products with them need beside
   * @param step activations and all else that is not the pairs'
   */
  record Planned(long weights, long step) {}

  /** Of a base that is kept so. */
  Planned planned(Storage storage, boolean recompute) {
    ModelPlan plan = plan();
    AdapterLayout layout = layout(plan);
    Map<WeightSlot, StoredType> stored = new LinkedHashMap<>();
    plan.weights(layout).forEach(slot -> stored.put(slot, StoredType.BF16));
    WorkQueue none = WorkQueue.oneByOne(new NoDevice());
    try (Backend sizes = new CudaBackend(Precision.BF16, none, CudaBackend.MOST_SCORES)) {
      FrozenWeights weights = FrozenWeights.unplaced(sizes, stored, storage);
      Trainables trainables = Trainables.unplaced(sizes, layout, chooser());
      Model net = plan.build(sizes, weights, trainables, recompute); // nothing to close
      long step = net.stepBytes(new TokenBatch.Shape(rows, tokens, rows), true).total();
      return new Planned((weights.bytes() + weights.scratchBytes()) >> 20, step >> 20);
    }
  }

  /** Works of a step that is not the first one, counted without a device. */
  int works() {
    CountingDriver driver = new CountingDriver();
    try (Opened opened = new Opened(WorkQueue.oneByOne(driver))) {
      opened.step();
      int before = driver.works();
      opened.step();
      return driver.works() - before;
    }
  }

  /** Medians of a few steps, each work a call and with graphs. */
  Map<String, Object> measure(String device) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("ours", model);
    line.put("rank", rank);
    line.put("seq", tokens);
    line.put("tokens", tokens * rows);
    line.put("plans", plans);
    try (WorkQueue queue = WorkQueue.oneByOne(new CudaDriver(0, Precision.BF16));
        Opened opened = new Opened(queue)) {
      opened.step();
      line.put("ms_one_by_one", opened.times()[TIMED / 2]);
      line.put("ms_with_sums_one_by_one", opened.msWithSums());
    }
    try (WorkQueue queue = WorkQueue.of(new CudaDriver(0, Precision.BF16));
        Opened opened = new Opened(queue)) {
      double loss = opened.step();
      double[] ms = opened.times();
      double median = ms[TIMED / 2];
      line.put("ms", median);
      line.put("least_ms", ms[0]);
      line.put("tokens_per_s", Math.round(tokens * rows / median * 1e3));
      line.put("tflops", flops() / median / 1e9);
      long from = System.nanoTime();
      opened.trainables.fetchGradients(opened.gradient).await();
      line.put("ms_of_gradient_read", (System.nanoTime() - from) / 1e6);
      line.put("ms_with_sums", opened.msWithSums());
      line.put("works_of_graphs", queue.replayed());
      line.put("loss", loss);
      line.put("weights_mib", opened.weights.bytes() >> 20);
      line.put("step_mib", opened.trainables.arena().bytes() >> 20);
      line.put("device", device);
    }
    return line;
  }

  /** Where a step goes: each kind of call, the longest first. */
  Map<String, Object> profile() {
    TimingDriver driver = new TimingDriver(new CudaDriver(0, Precision.BF16));
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("profile", toString());
    try (WorkQueue queue = WorkQueue.oneByOne(driver);
        Opened opened = new Opened(queue)) {
      opened.step();
      opened.step();
      driver.spent().clear();
      long from = System.nanoTime();
      opened.step();
      line.put("ms", (System.nanoTime() - from) / 1e6);
      Map<String, TimingDriver.Spent> all = new TreeMap<>(driver.spent());
      all.entrySet().stream()
          .sorted(Comparator.comparing(e -> -e.getValue().nanos))
          .limit(40)
          .forEach(
              e ->
                  line.put(
                      e.getKey(),
                      List.of(e.getValue().calls, Math.round(e.getValue().nanos / 1e4) / 100.0)));
    }
    return line;
  }
}
