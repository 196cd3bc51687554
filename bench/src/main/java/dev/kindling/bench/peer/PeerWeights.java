package dev.kindling.bench.peer;

import dev.kindling.bench.Case;
import dev.kindling.bench.Weights;
import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.lora.Parameter.Role;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/** The tensors of one model, frozen and trained, by Hugging Face name. */
final class PeerWeights {
  private static final int PIECE = 1 << 20;

  private final ScalarType type;
  private final AdapterLayout layout;
  private final Map<String, Tensor> frozen = new HashMap<>();
  private final Map<Parameter, Tensor> trained = new LinkedHashMap<>();

  /**
   * @param type of the frozen ones, and of all products; trainables are fp32
   */
  PeerWeights(Case setting, ScalarType type) {
    this.type = type;
    this.layout = setting.layout();
    for (WeightSlot slot : setting.plan().weights(layout)) {
      frozen.put(slot.name(), load(slot));
    }
    float[] start = Weights.trainables(layout);
    for (Parameter p : layout.parameters()) {
      Tensor values = torch.torch_empty(p.shape());
      try (FloatPointer to = values.data_ptr_float()) {
        to.put(start, p.offset(), p.elements());
      }
      trained.put(p, values.requires_grad_(true));
    }
  }

  private Tensor load(WeightSlot slot) {
    try (Tensor values = torch.torch_empty(slot.storedShape())) {
      FloatPointer to = values.data_ptr_float();
      for (long from = 0; from < values.numel(); from += PIECE) {
        float[] piece = new float[(int) Math.min(PIECE, values.numel() - from)];
        Weights.fill(slot, from, piece);
        to.position(from).put(piece);
      }
      return values.to(type);
    }
  }

  /** A frozen tensor. */
  Tensor tensor(String name) {
    Tensor known = frozen.get(name);
    if (known == null) {
      throw new IllegalArgumentException("no tensor " + name);
    }
    return known;
  }

  /** Every trainable in layout order. */
  Map<Parameter, Tensor> trained() {
    return trained;
  }

  /** A frozen tensor, for an argument that may be missing. */
  TensorOptional given(String name) {
    return new TensorOptional(tensor(name));
  }

  /** A frozen, adapted or trained layer of w [out, in]. */
  PeerLinear linear(String module) {
    return linear(module, false);
  }

  /** A frozen or adapted layer of w [in, out]: transformers' Conv1D. */
  PeerLinear conv1d(String module) {
    return linear(module, true);
  }

  private PeerLinear linear(String module, boolean turned) {
    Tensor whole = trained(module, Role.WEIGHT);
    return new PeerLinear(
        whole == null ? tensor(module + ".weight") : whole,
        whole == null ? frozen.get(module + ".bias") : trained(module, Role.BIAS),
        turned,
        trained(module, Role.A),
        trained(module, Role.B),
        new Scalar(layout.settings().scale()),
        type);
  }

  private @Nullable Tensor trained(String module, Role role) {
    return layout.find(module, role).map(trained::get).orElse(null);
  }
}
