package dev.kindling.model.gpt2;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.decoder.DecoderModel;
import dev.kindling.model.decoder.DecoderParts;
import dev.kindling.nn.LayerNorm;
import dev.kindling.nn.Linear;
import dev.kindling.nn.TokenLoss;
import dev.kindling.nn.Trainables;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The weight table of GPT-2. */
public record Gpt2Plan(Gpt2Config config) implements ModelPlan {
  private static final String JOINED = "attn.c_attn";
  private static final String ATTENTION_OUT = "attn.c_proj";
  private static final String UP = "mlp.c_fc";
  private static final String DOWN = "mlp.c_proj";
  private static final String WORDS = "transformer.wte";
  private static final String POSITIONS = "transformer.wpe";
  private static final String LAST_NORM = "transformer.ln_f";
  private static final String HEAD = "lm_head";

  @Override
  public List<LinearModule> linears() {
    int d = config.hidden();
    int f = config.intermediate();
    List<LinearModule> all = new ArrayList<>(List.of(words(), positions()));
    for (int l = 0; l < config.layers(); l++) {
      all.add(conv1d(config.block(l, JOINED), d, 3 * d));
      all.add(conv1d(config.block(l, ATTENTION_OUT), d, d));
      all.add(conv1d(config.block(l, UP), d, f));
      all.add(conv1d(config.block(l, DOWN), f, d));
    }
    all.add(
        LinearModule.vocabulary(
            HEAD, d, config.vocabulary(), (config.tied() ? WORDS : HEAD) + ".weight"));
    return all;
  }

  private static LinearModule conv1d(String name, int in, int out) {
    return new LinearModule(name, in, out, true, true).storedTurned();
  }

  private LinearModule words() {
    return LinearModule.embedding(WORDS, config.vocabulary(), config.hidden());
  }

  private LinearModule positions() {
    return LinearModule.embedding(POSITIONS, config.positions(), config.hidden());
  }

  @Override
  public List<WeightSlot> others() {
    List<WeightSlot> slots = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      norm(slots, config.block(l, "ln_1"));
      norm(slots, config.block(l, "ln_2"));
    }
    norm(slots, LAST_NORM);
    return slots;
  }

  private void norm(List<WeightSlot> slots, String name) {
    slots.add(new WeightSlot(name + ".weight", false, config.hidden()));
    slots.add(new WeightSlot(name + ".bias", false, config.hidden()));
  }

  @Override
  public List<String> head() {
    return List.of();
  }

  @Override
  public int vocabulary() {
    return config.vocabulary();
  }

  /** GPT-2 has no token for padding: any will do, for nobody looks at it. */
  @Override
  public TokenBatch.Rules rules() {
    return new TokenBatch.Rules(0, 0, config.positions(), true);
  }

  @Override
  public Model build(
      Backend backend, FrozenWeights weights, Trainables trainables, boolean recompute) {
    Map<String, Linear> linears = trainables.linears(linears(), weights);
    Linear head = linears.remove(HEAD);
    List<Gpt2Block> blocks = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      blocks.add(
          new Gpt2Block(
              backend,
              config.hidden(),
              config.intermediate(),
              norm(backend, weights, config.block(l, "ln_1")),
              linears.get(config.block(l, JOINED)),
              linears.get(config.block(l, ATTENTION_OUT)),
              norm(backend, weights, config.block(l, "ln_2")),
              linears.get(config.block(l, UP)),
              linears.get(config.block(l, DOWN))));
    }
    int heads = config.heads();
    return new DecoderModel<>(
        backend,
        trainables,
        new DecoderParts<>(
            trainables.embedding(words(), weights::matrix),
            trainables.embedding(positions(), weights::matrix),
            blocks,
            norm(backend, weights, LAST_NORM),
            new TokenLoss(backend, head, config.vocabulary()),
            new AttentionShape(1, 1, heads, heads, config.hidden() / heads, true),
            config.hidden(),
            linears.values()),
        recompute);
  }

  private LayerNorm norm(Backend backend, FrozenWeights weights, String name) {
    return new LayerNorm(
        backend,
        weights.tensor(name + ".weight"),
        weights.tensor(name + ".bias"),
        config.epsilon());
  }
}
