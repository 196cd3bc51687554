package dev.kindling.bench.peer;

import dev.kindling.bench.Case;
import dev.kindling.bench.Precision;
import dev.kindling.bench.Side;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.Parameter;
import dev.kindling.model.bert.BertConfig;
import dev.kindling.model.gpt2.Gpt2Config;
import dev.kindling.model.llama.LlamaConfig;
import dev.kindling.tensor.Backend;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** libtorch's step. */
public final class Peer implements Side {
  /** As rows and names of sides spell it. */
  public static final String NAME = "libtorch";

  private final PeerWeights weights;
  private final PeerModel model;
  private final Tensor ids;
  private final Tensor labels;
  private final AdamW optimizer;

  private Peer(Case setting, ScalarType type) {
    weights = new PeerWeights(setting, type);
    model = model(setting, weights, type);
    TokenBatch batch = setting.batch();
    ids = longs(batch.ids()).view(batch.rows(), batch.tokens());
    labels = longs(batch.labels());
    AdamWOptions options = new AdamWOptions(LEARNING_RATE);
    options.weight_decay().put(WEIGHT_DECAY);
    Tensor[] trained = weights.trained().values().toArray(new Tensor[0]);
    optimizer = new AdamW(new TensorVector(trained), options);
  }

  /** Opens libtorch's side of a case, with the case's threads in all of this process's BLAS. */
  public static Peer open(Case setting, Precision precision) {
    unpack();
    torch.set_num_threads(setting.threads());
    openblas_nolapack.blas_set_num_threads(setting.threads());
    return new Peer(
        setting,
        switch (precision) {
          case FP32 -> ScalarType.Float;
          case BF16 -> ScalarType.BFloat16;
        });
  }

  /**
   * JavaCPP unpacks and loads one library after the other, libtorch.so before the libtorch_cpu.so
   * that it links, and crashed on the first run of a machine; with all of them unpacked it does
   * not.
   */
  private static void unpack() {
    try {
      Loader.cacheResources("/org/bytedeco/pytorch/" + Loader.getPlatform() + "/");
    } catch (IOException e) {
      throw new UncheckedIOException("cannot unpack libtorch", e);
    }
  }

  private static PeerModel model(Case setting, PeerWeights weights, ScalarType type) {
    var config = setting.workload().config();
    int length = setting.workload().length();
    String family = config.path("model_type").asText();
    return switch (family) {
      case "bert" -> new PeerBert(BertConfig.bert(config), weights, length, type);
      case "llama" -> new PeerLlama(LlamaConfig.of(config), weights, length, type);
      case "gpt2" -> new PeerGpt2(Gpt2Config.of(config), weights, length, type);
      default -> throw new IllegalArgumentException("no peer for " + family);
    };
  }

  private static Tensor longs(int[] values) {
    return Tensor.create(Arrays.stream(values).asLongStream().toArray(), values.length);
  }

  /** Every native tensor of the step is freed at its end, as Python's reference counts would. */
  @Override
  public double step() {
    try (PointerScope scope = new PointerScope()) {
      optimizer.zero_grad();
      Tensor loss = loss();
      loss.backward();
      optimizer.step();
      return loss.item_double();
    }
  }

  private Tensor loss() {
    Tensor logits = model.logits(ids);
    Tensor flat = logits.view(labels.numel(), -1).to(ScalarType.Float);
    return torch.cross_entropy_loss(
        flat, labels, new TensorOptional(), 1, Backend.IGNORED, 0); // 1: mean
  }

  @Override
  public float[] gradient() {
    try (PointerScope scope = new PointerScope()) {
      float[] all =
          new float[weights.trained().keySet().stream().mapToInt(Parameter::elements).sum()];
      weights
          .trained()
          .forEach((p, value) -> value.grad().data_ptr_float().get(all, p.offset(), p.elements()));
      return all;
    }
  }

  /** What computes the products, with which instructions and threads: in one line. */
  public static String libraries() {
    return String.join(
        ", ",
        found("BLAS_INFO=\\w+", torch.show_config().getString()),
        openblas_nolapack.blas_get_num_threads() + " threads",
        found("MKL-DNN v[0-9.]+", torch.show_config().getString()) + " (bf16)",
        found("CPU capability usage: \\S+", torch.show_config().getString()),
        "ATen " + torch.get_num_threads() + " threads");
  }

  private static String found(String pattern, String text) {
    return Pattern.compile(pattern)
        .matcher(text)
        .results()
        .map(MatchResult::group)
        .findFirst()
        .orElse("no " + pattern);
  }
}
