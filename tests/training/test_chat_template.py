"""Training lays conversations out as the service does, to the token."""

import pytest
from tokenizers import Tokenizer

from service.chat.encoding import ChatEncoder
from service.chat.encoding import Conversation as Asked
from service.chat.template import ChatTemplate
from training.chat_template import CHAT_TEMPLATE, CONTROL_TOKENS, render
from training.data.byte_tokenizer import END_OF_TEXT, train_tokenizer
from training.data.conversations import Conversation, encode

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    },
    {"type": "function", "function": {"name": "now"}},
)
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln"}}}
CONVERSATIONS = {
    "a question": Conversation(
        ({"role": "user", "content": "Hello\nthere"}, {"role": "assistant", "content": "Hi."})
    ),
    "two turns and a system": Conversation(
        (
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "I am Ada."},
            {"role": "assistant", "content": "Hello, Ada!"},
            {"role": "user", "content": "Who am I?"},
            {"role": "assistant", "content": "Ada."},
        )
    ),
    "tools": Conversation(
        (
            {"role": "user", "content": "Weather in Köln?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"temperature": 3}'},
            {"role": "assistant", "content": "3 degrees."},
        ),
        TOOLS,
    ),
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [entry.question + entry.answer for entry in CONVERSATIONS.values()]
    return train_tokenizer(texts, 320, special=CONTROL_TOKENS, digits=1)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_service_makes_the_same_prompt_of_the_same_messages(
    name: str, tokenizer: Tokenizer
) -> None:
    conversation = CONVERSATIONS[name]
    template = ChatTemplate(CHAT_TEMPLATE, {"bos_token": END_OF_TEXT})
    encoder = ChatEncoder(tokenizer, template, 10_000)
    encoded = encode(conversation, tokenizer)
    *before, _ = conversation.messages
    asked = Asked([dict(message) for message in before], conversation.tools)
    prompt = encoder.encode(asked)
    assert tuple(encoded.ids[: len(prompt)]) == prompt
    assert encoded.is_answer[len(prompt) :].all()
    text = tokenizer.decode(encoded.ids[len(prompt) :].tolist(), skip_special_tokens=True)
    assert text == conversation.answer


def test_tools_stand_as_signatures_and_calls_in_hermes_form() -> None:
    text = render(CONVERSATIONS["tools"].messages, TOOLS)
    assert "system\nTools: get_weather(city) now()<|im_end|>" in text
    assert '<tool_call>{"name": "get_weather", "arguments": {"city": "Köln"}}</tool_call>' in text


def test_a_system_message_and_tools_share_the_first_message() -> None:
    text = render(CONVERSATIONS["two turns and a system"].messages, TOOLS[:1])
    assert text.startswith("<|endoftext|><|im_start|>system\nBe brief.\nTools: get_weather(city)")
    assert text.count("<|im_start|>system") == 1
