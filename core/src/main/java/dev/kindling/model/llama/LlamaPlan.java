package dev.kindling.model.llama;

import dev.kindling.checkpoint.WeightSlot;
import dev.kindling.data.TokenBatch;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.LinearModule;
import dev.kindling.model.FrozenWeights;
import dev.kindling.model.Model;
import dev.kindling.model.ModelPlan;
import dev.kindling.tensor.Backend;
import java.util.ArrayList;
import java.util.List;

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
  static final String TABLE = "model.embed_tokens.weight";
  static final String HEAD = "lm_head.weight";

  @Override
  public List<LinearModule> linears() {
    int d = config.hidden();
    int f = config.intermediate();
    int q = config.heads() * config.headSize();
    int kv = config.kvHeads() * config.headSize();
    List<LinearModule> all = new ArrayList<>();
    for (int l = 0; l < config.layers(); l++) {
      all.add(new LinearModule(config.block(l, QUERY), d, q, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, KEY), d, kv, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, VALUE), d, kv, config.qkvBias(), true));
      all.add(new LinearModule(config.block(l, ATTENTION_OUT), q, d, config.outBias(), true));
      all.add(new LinearModule(config.block(l, GATE), d, f, false, true));
      all.add(new LinearModule(config.block(l, UP), d, f, false, true));
      all.add(new LinearModule(config.block(l, DOWN), f, d, false, true));
    }
    return all;
  }

  @Override
  public List<WeightSlot> others() {
    int d = config.hidden();
    List<WeightSlot> slots = new ArrayList<>();
    slots.add(new WeightSlot(TABLE, false, config.vocabulary(), d));
    for (int l = 0; l < config.layers(); l++) {
      slots.add(new WeightSlot(config.block(l, ATTENTION_NORM), false, d));
      slots.add(new WeightSlot(config.block(l, FEED_NORM), false, d));
    }
    slots.add(new WeightSlot(LAST_NORM, false, d));
    if (!config.tied()) {
      slots.add(new WeightSlot(HEAD, true, config.vocabulary(), d));
    }
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
  public Model build(Backend backend, FrozenWeights weights, AdapterLayout layout) {
    return new LlamaModel(config, backend, weights, layout);
  }
}
