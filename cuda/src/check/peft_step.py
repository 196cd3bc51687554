#!/usr/bin/env python3
"""Steps of PyTorch + PEFT with the shapes and batches of gpu-check's own: what they are to be held against.

peft_step.py NAME RANK TOKENS ROWS [compile]

A Llama with random weights in bf16, LoRA on all seven projections in fp32 as PEFT makes it, SDPA, fused AdamW; the
median of twelve steps after four. One JSON object on stdout.
"""
import json
import statistics
import sys
import time

import peft
import torch
import transformers

# As GpuStep.SHAPES: hidden and intermediate sizes, layers, heads, heads of keys.
SHAPES = {
    "60M": (512, 1376, 8, 8, 8),
    "250M": (768, 2560, 24, 12, 12),
    "1.3B": (2048, 5461, 24, 32, 32),
    "7B": (4096, 11008, 32, 32, 32),
    "llama3-8B": (4096, 14336, 32, 32, 8),
}
VOCABULARY = 32_000
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WARM, TIMED = 4, 12


def adapted(name, rank):
    hidden, intermediate, layers, heads, kv_heads = SHAPES[name]
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=8192,
        attn_implementation="sdpa", use_cache=False)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        base = transformers.LlamaForCausalLM(config)
    model = peft.get_peft_model(base, peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=PROJECTIONS))
    torch.set_default_dtype(torch.float32)
    return model.train()


def main(name, rank, tokens, rows, compiled):
    model = adapted(name, rank)
    called = torch.compile(model) if compiled else model
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    ids = torch.randint(1, VOCABULARY, (rows, tokens), device="cuda")
    milliseconds = []
    for _ in range(WARM + TIMED):
        torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = called(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    median = statistics.median(milliseconds[WARM:])
    print(json.dumps({
        "peft": name, "rank": rank, "seq": tokens, "tokens": rows * tokens, "compiled": compiled,
        "ms": median, "tokens_per_s": round(rows * tokens / median * 1e3), "loss": float(loss),
        "peak_mib": torch.cuda.max_memory_allocated() >> 20, "trained": str(trained[0].dtype),
        "torch": torch.__version__, "peft_version": peft.__version__, "device": torch.cuda.get_device_name(),
    }), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5:] == ["compile"])
