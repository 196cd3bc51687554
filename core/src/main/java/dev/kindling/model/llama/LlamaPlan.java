package dev.kindling.model.llama;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.model.decoder.DecoderModel;
import dev.kindling.model.decoder.DecoderParts;
import dev.kindling.nn.Linear;
import dev.kindling.nn.RmsNorm;
import dev.kindling.nn.SharedInput;
import dev.kindling.nn.TokenLoss;
import dev.kindling.nn.Trainables;
import dev.kindling.nn.UsesScratch;
import dev.kindling.tensor.AttentionShape;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The weight table of Llama, Mistral and Qwen2. */
public record LlamaPlan(LlamaConfig config) implements ModelPlan {
  static final String QUERY = "self_attn.q_proj";
  static final String KEY = "self_attn.k_proj";
  static final String VALUE = "self_attn.v_proj";
  static final String ATTENTION_OUT = "self_attn.o_proj";
  static final String GATE = "mlp.gate_proj";
  static final String UP = "mlp.up_proj";
  static final String DOWN = "mlp.down_proj";
  static final String ATTENTION_NORM = "input_layernorm.weight";
  static final String FEED_NORM = "post_attention_layernorm.weight";
  static final String LAST_NORM = "model.norm.weight";
  static final String TABLE = "model.embed_tokens";
  static final String HEAD = "lm_head";

  @Override
  public List<LinearModule> linears() {
    int d = config.hidden();
    int f = config.intermediate();
    int q = config.heads() * config.headSize();
    int kv = config.kvHeads() * config.headSize();
    List<LinearModule> all = new ArrayList<>();
    all.add(table());
    for (int l = 0; l < config.layers(); l++) {
      all.add(new LinearModule(config.block(l, QUERY), d, q, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, KEY), d, kv, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, VALUE), d, kv, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, ATTENTION_OUT), q, d, config.outBias(), true));
      all.add(new LinearModule(config.block(l, GATE), d, f, false, true));
      all.add(new LinearModule(config.block(l, UP), d, f, false, true));
      all.add(new LinearModule(config.block(l, DOWN), f, d, false, true));
    }
    all.add(
        LinearModule.vocabulary(
            HEAD, d, config.vocabulary(), (config.tied() ? TABLE : HEAD) + ".weight"));
    return all;
  }

  @Override
  public List<List<String>> sharedInputs() {
    List<List<String>> all = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      all.add(attention(l));
      all.add(feed(l));
    }
    return all;
  }

  private List<String> attention(int l) {
    return List.of(config.block(l, QUERY), config.block(l, KEY), config.block(l, VALUE));
  }

  private List<String> feed(int l) {
    return List.of(config.block(l, GATE), config.block(l, UP));
  }

  private LinearModule table() {
    return LinearModule.embedding(TABLE, config.vocabulary(), config.hidden());
  }

  @Override
  public List<WeightSlot> others() {
    int d = config.hidden();
    List<WeightSlot> slots = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      slots.add(new WeightSlot(config.block(l, ATTENTION_NORM), false, d));
      slots.add(new WeightSlot(config.block(l, FEED_NORM), false, d));
    }
    slots.add(new WeightSlot(LAST_NORM, false, d));
    return slots;
  }

  @Override
  public List<String> head() {
    return List.of();
  }

  @Override
  public int vocabulary() {
    return config.vocabulary();
  }

  @Override
  public TokenBatch.Rules rules() {
    return new TokenBatch.Rules(config.padId(), 0, config.positions(), true);
  }

  @Override
  public Model build(
      Backend backend, FrozenWeights weights, Trainables trainables, boolean recompute) {
    Map<String, Linear> linears = trainables.linears(linears(), weights);
    Linear head = linears.remove(HEAD);
    List<UsesScratch> users = new ArrayList<>(linears.values());
    List<LlamaBlock> blocks = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      SharedInput queryKeyValue = SharedInput.of(backend, linears, attention(l));
      SharedInput gateUp = SharedInput.of(backend, linears, feed(l));
      users.addAll(List.of(queryKeyValue, gateUp));
      blocks.add(
          new LlamaBlock(
              backend,
              config.hidden(),
              config.intermediate(),
              config.frequencies(),
              norm(backend, weights, config.block(l, ATTENTION_NORM)),
              queryKeyValue,
              linears.get(config.block(l, ATTENTION_OUT)),
              norm(backend, weights, config.block(l, FEED_NORM)),
              gateUp,
              linears.get(config.block(l, DOWN))));
    }
    AttentionShape heads =
        new AttentionShape(1, 1, config.heads(), config.kvHeads(), config.headSize(), true);
    return new DecoderModel<>(
        backend,
        trainables,
        new DecoderParts<>(
            trainables.embedding(table(), weights::matrix),
            null,
            blocks,
            norm(backend, weights, LAST_NORM),
            new TokenLoss(backend, head, config.vocabulary()),
            heads,
            config.hidden(),
            users),
        recompute);
  }

  private RmsNorm norm(Backend backend, FrozenWeights weights, String name) {
    return new RmsNorm(backend, weights.tensor(name), config.epsilon());
  }
}
