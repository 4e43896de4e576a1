"""OpenAI's chat completions: the request, and what of it concerns tools."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.chat.tool_calls import ToolCallFormat
from service.protocol.chat_messages import MAX_TOOLS, ChatMessage, Tool
from service.protocol.generation import GenerationMembers
from service.protocol.openai import ParameterInvalid

_MOST_TOP_LOGPROBS = 20


class NamedFunction(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str


class NamedTool(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(GenerationMembers):
    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "chat_template": (),
        "functions": ([],),
        "function_call": ("none",),
        "modalities": (["text"],),
        "audio": (),
        "prediction": (),
        "web_search_options": (),
        "store": (False,),
        "service_tier": ("auto", "default"),
        "use_beam_search": (False,),
    }
    forms: ClassVar[dict[str, str]] = {**GenerationMembers.forms}

    messages: list[ChatMessage] = Field(description="the conversation so far")
    max_tokens: int | None = Field(default=None, description="longest answer")
    max_completion_tokens: int | None = Field(default=None, description="the same, OpenAI's newer")
    logprobs: bool | None = Field(default=False, description="of each token")
    top_logprobs: int | None = Field(
        default=None, ge=0, le=_MOST_TOP_LOGPROBS, description="… and of so many alternatives"
    )
    tools: list[Tool] | None = Field(
        default=None, max_length=MAX_TOOLS, description="functions that the model may call"
    )
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = Field(default=True, description="more than one call at once")
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    add_generation_prompt: bool | None = Field(default=True, description="vLLM's")
    chat_template_kwargs: dict[str, bool | int | float | str | None] | None = Field(
        default=None, description="vLLM's: variables for the template, such as enable_thinking"
    )

    @property
    def most_tokens(self) -> int | None:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ParameterInvalid(
                "only one of 'max_tokens' and 'max_completion_tokens'", "max_completion_tokens"
            )
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def top(self) -> int | None:
        """Alternatives per token; None: no log-probabilities."""
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise ParameterInvalid("'top_logprobs' needs 'logprobs': true", "top_logprobs")
        return None


class ToolUse:
    """What of a request concerns tools. `offered`: those that the template shows, None for none. `form`: how
    calls stand in the answer. `schema`: what it must follow where a call is demanded."""

    def __init__(self, asked: ChatRequest, taught: ToolCallFormat) -> None:
        """`taught`: the model's own form. Raises ParameterInvalid."""
        choice = asked.tool_choice or ("auto" if asked.tools else "none")
        tools = asked.tools or []
        if tools and choice != "none" and taught == "none":
            raise ParameterInvalid("this model was not taught to call functions", "tools")
        if choice != "none" and not tools:
            raise ParameterInvalid("'tool_choice' needs 'tools'", "tool_choice")
        self.is_named = isinstance(choice, NamedTool)
        self.is_parallel = asked.parallel_tool_calls is not False
        self.offered = [tool.for_template() for tool in tools] if choice != "none" else None
        self.names = [tool.function.name for tool in tools]
        self.form: ToolCallFormat = "none" if choice == "none" else taught
        self.schema: dict[str, Any] | None = None
        if isinstance(choice, NamedTool):
            chosen = [tool for tool in tools if tool.function.name == choice.function.name]
            if not chosen:
                raise ParameterInvalid(
                    f"'tool_choice' names {choice.function.name[:64]!r}, which is not in 'tools'",
                    "tool_choice",
                )
            self.form, self.schema = "forced", _call_schema(chosen)
        elif choice == "required":
            self.form, self.schema = "forced", _call_schema(tools)


def _call_schema(tools: list[Tool]) -> dict[str, Any]:
    """JSON Schema of one call of one of the tools. Definitions are the tools' own, one level deeper."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.function.name},
                "arguments": tool.function.parameters or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}
